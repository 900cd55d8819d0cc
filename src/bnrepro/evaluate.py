"""What ``scripts/evaluate.py`` does: trained networks, alone and as an ensemble, on images they were not trained on.

In a folder of its own it leaves

evaluation.json   what was asked of which runs, where, with what; calibration; how many were right
subsets.csv       for every choice of the networks, way to combine them and number of crops: how many images were right
images.npz        the label's place among the answers, (rows, M), and which network, way and crops each row is

and every network's probabilities in ``predictions/`` of its run's directory.
"""

import csv
import io
import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table

from bnrepro.analysis.figure4 import MEMBERS
from bnrepro.data import pictures as data
from bnrepro.data.augment import KERNELS
from bnrepro.data.pictures import Pictures
from bnrepro.errors import UserError
from bnrepro.evaluation.crops import KINDS
from bnrepro.evaluation.ensemble import METHODS, calibration, combine, rank_of_label, subsets
from bnrepro.evaluation.multicrop import Predictions
from bnrepro.evaluation.stored import predictions
from bnrepro.evaluation.trained import STATISTICS, Trained, trained
from bnrepro.progress import StepProgress
from bnrepro.records.files import read_json, write_atomically, write_json, write_text
from bnrepro.records.provenance import now, provenance

FILES = ("evaluation.json", "subsets.csv", "images.npz")


@dataclass
class Evaluate:
    """The keys of configs/evaluate.yaml."""

    runs: list[str] | None = None  # directories of runs; null: Figure 4's six networks
    scale: Any = field(default_factory=dict)  # of those six; the config group
    crops: Any = field(default_factory=lambda: list(KINDS))  # 1, 10 or 144, or a list of them
    images: str | None = None  # a folder of images; null: those that the runs are judged on while they train
    root: str | None = None  # of the runs' data set; null: where its scale expects it
    statistics: str = "population"  # of batch normalisation; or moving_average
    interpolation: str = "bilinear"  # or bicubic
    publish: bool = False  # copy the small files into results/figure4/<scale>
    out: str | None = None  # null: <runs_dir>/evaluations/<a name that follows from the runs>
    runs_dir: str = "runs"
    results_dir: str = "results"
    device: str = "cpu"
    threads: int = 1


def evaluate(composed: DictConfig, command: str) -> None:
    """Evaluate, print a table, and say where the rest is.

    Args:
        composed: configs/evaluate.yaml with its overrides.
        command: what was typed, for the record.

    Raises:
        UserError: a value is not among its choices, a run cannot be used, or the runs do not belong together.
    """
    options = _typed(composed)
    torch.set_num_threads(options.threads)
    directories = [Path(run) for run in options.runs] if options.runs else figure4_runs(options)
    on = torch.device(options.device)
    networks = [trained(directory, on, options.statistics) for directory in directories]
    check_together(networks, same_data=options.images is None)
    pictures = _pictures(options, networks[0])
    said = {kind: _ask(options, directories, networks, pictures, kind) for kind in options.crops}
    out = Path(options.out) if options.out else _place(options, networks)
    out.mkdir(parents=True, exist_ok=True)
    if pictures.labels is None:
        _write_answers(out, networks, pictures, said)
        return
    figures = write(out, networks, pictures, said, command, options)
    print_table(figures)
    if options.publish:
        target = Path(options.results_dir) / "figure4" / options.scale
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(out / name, target / name)
        out = target
    print(f"written to {out}")


def _typed(composed: DictConfig) -> Evaluate:
    try:
        options: Evaluate = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Evaluate), composed))
    except OmegaConfBaseException as error:
        raise UserError(f"{getattr(error, 'full_key', '') or ''}: {str(error).splitlines()[0]}") from None
    options.scale = options.scale["name"]
    options.crops = list(options.crops) if isinstance(options.crops, list) else [options.crops]
    choices = {
        "crops": (options.crops, KINDS),
        "statistics": ([options.statistics], STATISTICS),
        "interpolation": ([options.interpolation], tuple(KERNELS)),
    }
    for key, (values, allowed) in choices.items():
        for value in values:
            if value not in allowed:
                raise UserError(f"{key}={value} is not one of {', '.join(map(str, allowed))}")
    if options.publish and (options.runs or options.images):
        raise UserError("publish=true is for Figure 4: leave out runs and images, or publish")
    return options


def figure4_runs(options: Evaluate) -> list[Path]:
    """The directories of Figure 4's six networks at a scale.

    Raises:
        UserError: one of them is not there, or in several configurations or seeds; it says what to do.
    """
    found: dict[str, list[Path]] = {member: [] for member in MEMBERS}
    for path in sorted(Path(options.runs_dir).glob("member*/status.json")):
        status = read_json(path)
        here = OmegaConf.load(path.parent / "config.yaml").scale.name == options.scale
        if here and status["state"] == "finished" and status["variant"] in found:
            found[status["variant"]].append(path.parent)
    lacking = [member for member, paths in found.items() if not paths]
    if lacking:
        names = ",".join(f"figure4/{member}" for member in lacking)
        raise UserError(
            f"no trained {', '.join(lacking)} at scale {options.scale} in {options.runs_dir}; train them: "
            f"python scripts/train.py -m hydra/launcher=joblib scale={options.scale} experiment={names}"
        )
    for member, paths in found.items():
        if len(paths) > 1:
            raise UserError(f"several runs of {member}: {', '.join(map(str, paths))}; choose with runs=[...]")
    return [paths[0] for paths in found.values()]


def check_together(networks: list[Trained], same_data: bool) -> None:
    """Raise a `UserError` unless the networks answer the same question.

    Args:
        networks: to be evaluated together.
        same_data: they are judged on their own data's held-out images, which then have to be the same ones.
    """
    first = networks[0]
    for other in networks[1:]:
        if other.classes != first.classes:
            a, b = len(first.classes), len(other.classes)
            raise UserError(f"{first.name} and {other.name} do not know the same classes ({a} and {b}); choose others")
        splits = [(one.status["data_fingerprint"], one.config.data.split) for one in (first, other)]
        if same_data and splits[0] != splits[1]:
            raise UserError(f"{first.name} and {other.name} are judged on different images; choose others, or images=")
    if len({one.digest for one in networks}) < len(networks):
        raise UserError("the same network is there twice; name each run once")


def _pictures(options: Evaluate, first: Trained) -> Pictures:
    if options.images:
        return data.folder(Path(options.images), first.classes)
    own = first.config.data
    own.root = options.root or first.config.scale["imagenet"]["root"]
    return data.held_out(own)


def _ask(
    options: Evaluate, directories: list[Path], networks: list[Trained], pictures: Pictures, kind: int
) -> list[Predictions]:
    found = []
    for directory, network in zip(directories, networks, strict=True):
        with StepProgress(f"{network.name}, {kind} crops", len(pictures), 0) as progress:
            tick = progress.tick
            found.append(predictions(directory, network, pictures, kind, options.interpolation, tick))
    return found


def _place(options: Evaluate, networks: list[Trained]) -> Path:
    if options.runs is None:
        name = f"figure4-{options.scale}"
    elif len(networks) == 1:
        name = networks[0].name
    else:
        name = "ensemble-" + sha256(" ".join(sorted(one.name for one in networks)).encode()).hexdigest()[:8]
    return Path(options.runs_dir) / "evaluations" / (name + (f"-{Path(options.images).name}" if options.images else ""))


def _write_answers(out: Path, networks: list[Trained], pictures: Pictures, said: dict[int, list[Predictions]]) -> None:
    """The ensemble's answer to images without labels."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "crops", "class", "name", "probability"])
    for kind, members in said.items():
        mean = combine(members, "mean")
        for k, best in enumerate(mean.argmax(1)):
            writer.writerow([pictures.name(k), kind, *networks[0].classes[best], f"{mean[k, best]:.4f}"])
    write_text(out / "answers.csv", text.getvalue())
    print(f"{len(pictures)} images without labels; the answers are in {out / 'answers.csv'}")


def write(
    out: Path,
    networks: list[Trained],
    pictures: Pictures,
    said: dict[int, list[Predictions]],
    command: str,
    options: Evaluate,
) -> dict[str, Any]:
    """Write the three files, and return what is in the first."""
    labels, count = pictures.labels, len(networks)
    rows: list[list[Any]] = []
    ranks: dict[str, np.ndarray] = {}
    calibrated: dict[str, Any] = {}
    for kind, members in said.items():
        for chosen in subsets(count):
            for method in METHODS:
                scores = combine([members[k] for k in chosen], method)
                rank = rank_of_label(scores, labels)
                rows.append([kind, method, "+".join(str(k + 1) for k in chosen), len(chosen)])
                rows[-1] += [int((rank <= k).sum()) for k in (1, 5)]
                row = f"{kind} {method} {rows[-1][2]}"
                if len(chosen) == count or (len(chosen) == 1 and method == "mean"):
                    ranks[row] = rank.astype(np.uint16)
                    if method == "mean":
                        calibrated[row] = calibration(scores, labels)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["crops", "method", "networks", "size", "top1", "top5"])
    writer.writerows(rows)
    write_text(out / "subsets.csv", text.getvalue())
    arrays = {"rows": np.array(list(ranks)), "rank": np.stack(list(ranks.values())), "label": labels.astype(np.uint16)}
    write_atomically(out / "images.npz", lambda file: np.savez_compressed(file, **arrays))
    first = networks[0]
    figures = {
        **provenance(),
        "command": command,
        "ended": now(),
        "runs": [one.name for one in networks],
        "experiments": [one.status["experiment"] for one in networks],
        "trained": [one.status["command"] for one in networks],
        "seeds": [one.status["seed"] for one in networks],
        "steps": [one.status["steps"] for one in networks],
        "scale": first.config.scale["name"],
        "data": first.config.data.name,
        "classes": len(first.classes),
        "pixels": first.config.data.pixels,
        "images": len(pictures),
        "images_fingerprint": pictures.fingerprint,
        "crops": list(said),
        "interpolation": options.interpolation,
        "statistics": options.statistics,
        "while_training": [one.status["final"] for one in networks],
        "calibration": calibrated,
    }
    write_json(out / "evaluation.json", figures)
    return figures | {"rows": rows}


def print_table(figures: dict[str, Any]) -> None:
    """Each network alone and all together, top-1 and top-5 error."""
    images = figures["images"]
    table = Table("crops", "networks", "top-1 error", "top-5 error", box=None, header_style="bold")
    for kind, method, chosen, size, top1, top5 in figures["rows"]:
        alone = size == 1 and method == "mean"
        if alone or size == len(figures["runs"]) > 1:
            title = figures["runs"][int(chosen) - 1] if alone else f"all {size}, {method}"
            table.add_row(str(kind), title, *(f"{100 * (1 - right / images):.2f} %" for right in (top1, top5)))
    Console(width=None if Console().is_terminal else 120).print(table)
