"""What is kept of an evaluation, in a folder of its own.

evaluation.json   which runs, on which images, with which options, where; calibration
subsets.csv       for every choice of the networks, way to combine them and number of crops: how many images were right
images.npz        the label's place among the answers, (rows, M), and which crops, way and networks each row is
answers.csv       instead of these, for images without labels: the best class of each
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

Answers = dict[int, list[Predictions]]  # of each network, by the number of crops


def write_answers(out: Path, classes: list[list[str]], pictures: Pictures, answers: Answers) -> Path:
    """The networks' common answer to images without labels, as a table."""
    rows = []
    for kind, members in answers.items():
        mean = combine(members, "mean")
        for k, best in enumerate(mean.argmax(1)):
            rows.append([pictures.name(k), kind, *classes[best], f"{mean[k, best]:.4f}"])
    _write_table(out / "answers.csv", ["image", "crops", "class", "name", "probability"], rows)
    return out / "answers.csv"


def write(
    out: Path,
    networks: list[Trained],
    pictures: Pictures,
    answers: Answers,
    request: dict[str, str],
) -> dict[str, Any]:
    """Write the three files, and return what is in the first, and the rows of the second.

    The pictures have labels; ``request`` is command and options, for the record.
    """
    labels, count = pictures.labels, len(networks)
    rows: list[list[Any]] = []
    ranks: dict[str, np.ndarray] = {}
    calibrated: dict[str, Any] = {}
    for kind, members in answers.items():
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
    _write_table(out / "subsets.csv", ["crops", "method", "networks", "size", "top1", "top5"], rows)
    arrays = {"rows": np.array(list(ranks)), "rank": np.stack(list(ranks.values())), "label": labels.astype(np.uint16)}
    write_atomically(out / "images.npz", lambda file: np.savez_compressed(file, **arrays))
    first = networks[0]
    figures = {
        **provenance(),
        **request,
        "ended": now(),
        "runs": [network.name for network in networks],
        "experiments": [network.status["experiment"] for network in networks],
        "trained": [network.status["command"] for network in networks],
        "seeds": [network.status["seed"] for network in networks],
        "steps": [network.status["steps"] for network in networks],
        "scale": first.config.scale["name"],
        "data": first.config.data.name,
        "classes": len(first.classes),
        "pixels": first.config.data.pixels,
        "images": len(pictures),
        "images_fingerprint": pictures.fingerprint,
        "crops": list(answers),
        "while_training": [network.status["final"] for network in networks],
        "calibration": calibrated,
    }
    write_json(out / "evaluation.json", figures)
    return figures | {"rows": rows}


def _write_table(path: Path, columns: list[str], rows: list[list[Any]]) -> None:
    write_text(path, pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n"))
