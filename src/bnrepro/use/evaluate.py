"""The work of ``scripts/evaluate.py``: trained networks, alone and as an ensemble, on images they were not trained on.

It writes three files into a folder, and keeps the probabilities of each network in ``predictions/`` of its run.

evaluation.json   which runs, on which images, with which options, and where; calibration
subsets.csv       how many images were right, for every number of crops, choice of networks and way to combine them
images.npz        the rank of the label, (rows, M), and the crops, the way and the networks of each row
"""

import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig
from rich.console import Console

from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.render.table import Table
from bnrepro.config.schema import Logger
from bnrepro.config.values import check_device, structured
from bnrepro.data import pictures as data
from bnrepro.errors import UserError
from bnrepro.records.files import write_atomically, write_json, write_text
from bnrepro.records.named import find_runs
from bnrepro.records.provenance import now, provenance
from bnrepro.tracking import mirrored
from bnrepro.training import build
from bnrepro.use.crops import CROP_COUNTS
from bnrepro.use.ensemble import METHODS, calibration, combine, rank_of_label, subsets
from bnrepro.use.multicrop import Predictions, kept_predictions
from bnrepro.use.trained import Trained, check_together, trained


@dataclass
class Evaluate:
    """The keys of configs/evaluate.yaml."""

    runs: list[str] | None = None  # runs by directory, name or pattern; null: Figure 4's six networks
    scale: Any = field(default_factory=dict)  # of those six; the config group
    crops: Any = field(default_factory=lambda: list(CROP_COUNTS), metadata={"choices": CROP_COUNTS})  # one, or a list
    images: str | None = None  # a folder with a folder per class; null: what the runs are evaluated on while they train
    root: str | None = None  # the folder of the runs' data set; null: the folder in their scale
    publish: bool = False  # copy the small files into results/figure4/<scale>
    out: str | None = None  # null: <runs_dir>/evaluations/<a name that follows from the runs and the images>
    runs_dir: str = "runs"
    results_dir: str = "results"
    device: str = "cpu"
    threads: int = field(default=1, metadata={"at_least": 1})
    logger: Logger = field(default_factory=Logger)


def evaluate(composed: DictConfig, command: str) -> None:
    """Evaluate as configs/evaluate.yaml and its overrides ask, and print a table."""
    options = _checked_options(composed)
    torch.set_num_threads(options.threads)
    directories = find_runs(options.runs, Path(options.runs_dir)) if options.runs else _figure4_runs(options)
    device = build.usable(options.device)
    networks = [trained(directory, device) for directory in directories]
    check_together(networks, same_data=options.images is None)
    pictures = _pictures(options, networks[0])
    answers: dict[int, list[Predictions]] = {crops: [] for crops in _crop_counts(options, networks[0])}
    for crops, members in answers.items():
        for directory, network in zip(directories, networks, strict=True):
            with Console(stderr=True).status(f"{network.name}, {crops} crops"):
                members.append(kept_predictions(directory, network, pictures, crops))
    default_out = Path(options.runs_dir) / "evaluations" / _default_folder(options, networks, pictures)
    out = Path(options.out) if options.out else default_out
    out.mkdir(parents=True, exist_ok=True)
    info = write(out, networks, pictures, answers, command)
    _print_table(info)
    files = [out / name for name in FIGURES["figure4"].files]
    mirrored.evaluation(options.logger, Path(options.runs_dir), default_out.name, files, info)
    if options.publish:
        out = Path(options.results_dir) / "figure4" / options.scale
        out.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, out / path.name)
    print(f"written to {out}")


def _checked_options(composed: DictConfig) -> Evaluate:
    options = structured(Evaluate, composed)
    options.scale = options.scale["name"]
    options.crops = list(options.crops) if isinstance(options.crops, list) else [options.crops]
    check_device(options.device)
    if options.publish and (options.runs or options.images):
        raise UserError("publish=true is for Figure 4: leave out runs and images, or publish")
    return options


def _figure4_runs(options: Evaluate) -> list[Path]:
    """Return the directories of Figure 4's six networks at a scale."""
    arms = FIGURES["figure4"].arms(options.runs_dir, options.scale, Path(options.results_dir))
    for member, records in arms.items():
        if len(records) > 1:
            names = ", ".join(str(record.path) for record in records)
            raise UserError(f"several runs of {member}: {names}; choose with runs=[...]")
    return [record.path for (record,) in arms.values()]


def _pictures(options: Evaluate, first: Trained) -> data.Pictures:
    if options.images:
        return data.of_folder(Path(options.images), first.classes, first.of_digits)
    return data.held_out(first.data(options.root))


def _crop_counts(options: Evaluate, first: Trained) -> list[int]:
    """Return the numbers of crops to evaluate with; networks of digits read whole digits."""
    if not first.of_digits or options.crops == [1]:
        return options.crops
    if options.crops != list(CROP_COUNTS):
        raise UserError(f"{first.name} reads whole digits; leave crops out")
    return [1]


def _default_folder(options: Evaluate, networks: list[Trained], pictures: data.Pictures) -> str:
    if options.runs is None:
        name = f"figure4-{options.scale}"
    elif len(networks) == 1:
        name = networks[0].name
    else:
        name = "ensemble-" + sha256(" ".join(sorted(network.name for network in networks)).encode()).hexdigest()[:8]
    return f"{name}-{Path(options.images).name}-{pictures.fingerprint[:6]}" if options.images else name


def write(
    out: Path, networks: list[Trained], pictures: data.Pictures, answers: dict[int, list[Predictions]], command: str
) -> dict[str, Any]:
    """Write the three files; ``answers`` has the predictions of each network, by the number of crops.

    Returns:
        The contents of evaluation.json, and the rows of subsets.csv as ``rows``.
    """
    rows: list[list[Any]] = []
    ranks: dict[str, np.ndarray] = {}
    calibrated: dict[str, Any] = {}
    for crops, members in answers.items():
        for chosen in subsets(len(networks)):
            for method in METHODS:
                scores = combine([members[k] for k in chosen], method)
                rank = rank_of_label(scores, pictures.labels)
                numbers = "+".join(str(k + 1) for k in chosen)
                rows.append([crops, method, numbers, len(chosen), *(int((rank <= k).sum()) for k in (1, 5))])
                if len(chosen) == len(networks) or (len(chosen) == 1 and method == "mean"):
                    row = f"{crops} {method} {numbers}"
                    ranks[row] = rank.astype(np.uint16)
                    if method == "mean":
                        calibrated[row] = calibration(scores, pictures.labels)
    table = pd.DataFrame(rows, columns=["crops", "method", "networks", "size", "top1", "top5"])
    write_text(out / "subsets.csv", table.to_csv(index=False, lineterminator="\n"))
    arrays = {
        "rows": np.array(list(ranks)),
        "rank": np.stack(list(ranks.values())),
        "label": pictures.labels.astype(np.uint16),
    }
    write_atomically(out / "images.npz", lambda file: np.savez_compressed(file, **arrays))
    config = networks[0].config
    info = {
        **provenance(),
        "command": command,
        "ended": now(),
        "runs": [network.name for network in networks],
        "experiments": [network.status["experiment"] for network in networks],
        "trained": [network.status["command"] for network in networks],
        "seeds": [network.status["seed"] for network in networks],
        "steps": [network.status["steps"] for network in networks],
        "scale": config.scale["name"],
        "data": config.data.name,
        "classes": len(networks[0].classes),
        "pixels": config.data.pixels,
        "images": len(pictures),
        "images_fingerprint": pictures.fingerprint,
        "crops": list(answers),
        "while_training": [network.status["final"] for network in networks],
        "calibration": calibrated,
    }
    write_json(out / "evaluation.json", info)
    return info | {"rows": rows}


def _print_table(info: dict[str, Any]) -> None:
    """Print the errors of each network alone and of all together."""
    rows = []
    for crops, method, chosen, size, *right in info["rows"]:
        alone = size == 1 and method == "mean"
        if alone or size == len(info["runs"]) > 1:
            title = info["runs"][int(chosen) - 1] if alone else f"all {size}, {method}"
            rows.append([str(crops), title, *(f"{100 * (1 - count / info['images']):.2f} %" for count in right)])
    Table(["crops", "networks", "top-1 error", "top-5 error"], rows).show()
