"""``scripts/predict.py``: what trained networks see in pictures."""

import argparse
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bnrepro.data import pictures
from bnrepro.errors import UserError
from bnrepro.evaluate import check_together
from bnrepro.evaluation.crops import KINDS
from bnrepro.evaluation.ensemble import combine
from bnrepro.evaluation.multicrop import predict
from bnrepro.evaluation.trained import trained

ANSWERS = 5


def answers(runs: list[Path], images: list[Path], crops: int) -> list[list[tuple[str, float]]]:
    """The most probable classes of each image, in words, with their probabilities; several runs are an ensemble.

    Raises:
        UserError: a run or an image cannot be used, or the runs do not know the same classes.
    """
    networks = [trained(run, torch.device("cpu")) for run in runs]
    check_together(networks, same_data=False)
    seen = pictures.files(images)
    said = [predict(one.predictor(), seen, crops, one.config.data.pixels) for one in networks]
    names = [words for _, words in networks[0].classes]
    mean = combine(said, "mean")
    best = (-mean).argsort(1, kind="stable")[:, :ANSWERS]
    return [[(names[c], float(row[c])) for c in order] for row, order in zip(mean, best, strict=True)]


def main(words: list[str] | None = None) -> int:
    """Print a table of answers for each image."""
    parser = argparse.ArgumentParser(description="The five most probable classes of pictures.")
    parser.add_argument("--run", type=Path, action="append", required=True, help="a finished run; several: their mean")
    parser.add_argument("--crops", type=int, choices=KINDS, default=1)
    parser.add_argument("image", type=Path, nargs="+")
    options = parser.parse_args(words)
    try:
        found = answers(options.run, options.image, options.crops)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 120)
    for image, best in zip(options.image, found, strict=True):
        table = Table(str(image), "probability", box=None, header_style="bold")
        for name, probability in best:
            table.add_row(name, f"{probability:.4f}")
        console.print(table)
    return 0
