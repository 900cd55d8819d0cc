"""The files of an evaluation, in a folder of its own.

evaluation.json   which runs, on which images, with which options, and where; calibration
subsets.csv       how many images were right, for every number of crops, choice of networks and way to combine them
images.npz        the rank of the label, (rows, M), and the crops, the way and the networks of each row
answers.csv       for images without labels, in place of the other files: the best class of each
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnrepro.data.pictures import Pictures
from bnrepro.records.files import write_atomically, write_json, write_text
from bnrepro.records.provenance import now, provenance
from bnrepro.use.ensemble import METHODS, calibration, combine, rank_of_label, subsets
from bnrepro.use.multicrop import Predictions
from bnrepro.use.trained import Trained

Answers = dict[int, list[Predictions]]  # the predictions of each network, by the number of crops


def write_answers(out: Path, classes: list[list[str]], pictures: Pictures, answers: Answers) -> Path:
    """Write the networks' common answers about images without labels as a table, and return its path."""
    rows = []
    for kind, members in answers.items():
        mean = combine(members, "mean")
        for k, best in enumerate(mean.argmax(1)):
            rows.append([pictures.name(k), kind, *classes[best], f"{mean[k, best]:.4f}"])
    _write_table(out / "answers.csv", ["image", "crops", "class", "name", "probability"], rows)
    return out / "answers.csv"


def write(
    out: Path, networks: list[Trained], pictures: Pictures, answers: Answers, request: dict[str, str]
) -> dict[str, Any]:
    """Write the three files about images with labels; ``request`` is the command and its options, for the record.

    Returns:
        The contents of evaluation.json, and the rows of subsets.csv as ``rows``.
    """
    rows: list[list[Any]] = []
    ranks: dict[str, np.ndarray] = {}
    calibrated: dict[str, Any] = {}
    for kind, members in answers.items():
        for chosen in subsets(len(networks)):
            for method in METHODS:
                scores = combine([members[k] for k in chosen], method)
                rank = rank_of_label(scores, pictures.labels)
                numbers = "+".join(str(k + 1) for k in chosen)
                rows.append([kind, method, numbers, len(chosen), *(int((rank <= k).sum()) for k in (1, 5))])
                if len(chosen) == len(networks) or (len(chosen) == 1 and method == "mean"):
                    row = f"{kind} {method} {numbers}"
                    ranks[row] = rank.astype(np.uint16)
                    if method == "mean":
                        calibrated[row] = calibration(scores, pictures.labels)
    _write_table(out / "subsets.csv", ["crops", "method", "networks", "size", "top1", "top5"], rows)
    arrays = {"rows": np.array(list(ranks)), "rank": np.stack(list(ranks.values()))}
    arrays["label"] = pictures.labels.astype(np.uint16)
    write_atomically(out / "images.npz", lambda file: np.savez_compressed(file, **arrays))
    config = networks[0].config
    info = {
        **provenance(),
        **request,
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


def _write_table(path: Path, columns: list[str], rows: list[list[Any]]) -> None:
    write_text(path, pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n"))
