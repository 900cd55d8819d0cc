"""``scripts/predict.py``: what trained networks see in pictures, and which digit those of MNIST do."""

import argparse
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bnrepro.data import pictures
from bnrepro.data.digits import Digits
from bnrepro.errors import UserError
from bnrepro.records.named import named
from bnrepro.use.crops import KINDS
from bnrepro.use.ensemble import combine
from bnrepro.use.evaluate import check_together
from bnrepro.use.multicrop import predict
from bnrepro.use.trained import trained

ANSWERS = 5


def answers(runs: list[Path], images: list[Path], crops: int) -> list[list[tuple[str, float]]]:
    """The most probable classes of each image, in words, with their probabilities; several runs are an ensemble.

    Raises:
        UserError: a run or an image cannot be used, or the runs do not know the same classes.
    """
    networks = [trained(run, torch.device("cpu")) for run in runs]
    check_together(networks, same_data=False)
    seen = pictures.files(images)
    if networks[0].of_digits:
        if crops != 1:
            raise UserError(f"{networks[0].name} reads whole digits; leave --crops out")
        seen = Digits(seen)
    said = [predict(one.predictor(), seen, crops, one.config.data.pixels) for one in networks]
    if isinstance(seen, Digits) and (remark := seen.remark()):
        print(remark, file=sys.stderr)
    names = [words for _, words in networks[0].classes]
    mean = combine(said, "mean")
    best = (-mean).argsort(1, kind="stable")[:, :ANSWERS]
    return [[(names[c], float(row[c])) for c in order] for row, order in zip(mean, best, strict=True)]


def told_apart(words: list[str], runs: list[str]) -> tuple[list[Path], list[Path]]:
    """Of what was typed, the runs, after those that are said to be some, and the images.

    Raises:
        UserError: there is no run, no image, or a pattern that matches no run.
    """
    images = [Path(word) for word in words if Path(word).is_file() or Path(word).suffix.lower() in pictures.SUFFIXES]
    networks = named([*runs, *(word for word in words if Path(word) not in images)])
    if not networks:
        raise UserError("which run? name its directory before the pictures; python scripts/status.py lists the runs")
    if not images:
        raise UserError(f"which pictures? name them after the run ({', '.join(pictures.SUFFIXES)})")
    return networks, images


def main(words: list[str] | None = None) -> int:
    """Print a table of answers for each image."""
    parser = argparse.ArgumentParser(description="The five most probable classes of pictures.")
    parser.add_argument("word", nargs="+", metavar="RUN|IMAGE", help="finished runs, several: their mean; and pictures")
    parser.add_argument("--run", action="append", default=[], help="a run, in another way")
    parser.add_argument("--crops", type=int, choices=KINDS, default=1)
    options = parser.parse_intermixed_args(words)
    try:
        runs, images = told_apart(options.word, options.run)
        found = answers(runs, images, options.crops)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 120)
    for image, best in zip(images, found, strict=True):
        table = Table(str(image), "probability", box=None, header_style="bold")
        for name, probability in best:
            table.add_row(name, f"{probability:.4f}")
        console.print(table)
    return 0
