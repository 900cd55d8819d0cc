"""``scripts/predict.py``: the most probable classes of pictures, from trained networks."""

import argparse
from pathlib import Path

import torch

from bnrepro.analysis.render.table import Table
from bnrepro.cli.mistakes import script
from bnrepro.config.folders import ROOT
from bnrepro.data import pictures
from bnrepro.errors import UserError
from bnrepro.records.named import find_runs
from bnrepro.use.crops import CROP_COUNTS
from bnrepro.use.ensemble import combine
from bnrepro.use.multicrop import mean_over_crops
from bnrepro.use.trained import check_together, trained

ANSWERS = 5
HELP = "finished runs, then pictures; several runs are averaged; without a run, the network that ships here"
# BN-x5 of Figure 2 with beta at 1, seed 2: 50 classes of Tiny-ImageNet. Its weights are kept in half precision.
SHIPPED = ROOT / "results" / "figure2" / "laptop" / "runs" / "bn_x5_beta1_equal-s2-4b760f23"


def answers(runs: list[Path], paths: list[Path], crops: int) -> list[list[tuple[str, float]]]:
    """Return the most probable classes of each image, in words, with their probabilities; several runs are averaged."""
    networks = [trained(run, torch.device("cpu")) for run in runs]
    check_together(networks, same_data=False)
    digits = networks[0].of_digits
    images = pictures.of_files(paths, digits)
    if digits and crops != 1:
        raise UserError(f"{networks[0].name} reads whole digits; leave --crops out")
    members = [
        mean_over_crops(network.network_function(), images, crops, network.config.data.pixels) for network in networks
    ]
    mean = combine(members, "mean")
    best = (-mean).argsort(1, kind="stable")[:, :ANSWERS]
    names = [words for _, words in networks[0].classes]
    return [[(names[k], float(row[k])) for k in order] for row, order in zip(mean, best, strict=True)]


@script
def main(words: list[str] | None) -> None:
    """Print a table of answers for each image."""
    parser = argparse.ArgumentParser(description="The five most probable classes of pictures.")
    parser.add_argument("word", nargs="+", metavar="RUN|IMAGE", help=HELP)
    parser.add_argument("--crops", type=int, choices=CROP_COUNTS, default=1, help="crops per picture (default: 1)")
    options = parser.parse_args(words)
    images = [path for path in map(Path, options.word) if path.is_file() or path.suffix.lower() in pictures.SUFFIXES]
    if not images:
        raise UserError(f"which pictures? name them after the run ({', '.join(pictures.SUFFIXES)})")
    runs = find_runs(word for word in options.word if Path(word) not in images) or [SHIPPED]
    for image, best in zip(images, answers(runs, images, options.crops), strict=True):
        Table([str(image), "probability"], [[name, f"{probability:.4f}"] for name, probability in best]).show()
