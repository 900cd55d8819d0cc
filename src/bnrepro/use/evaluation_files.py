"""The files of an evaluation, in a folder of its own.

evaluation.json   which runs, on which images, with which options, and where; calibration
subsets.csv       how many images were right, for every number of crops, choice of networks and way to combine them
images.npz        the rank of the label, (rows, M), and the crops, the way and the networks of each row
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


def write(
    out: Path, networks: list[Trained], pictures: Pictures, answers: dict[int, list[Predictions]], command: str
) -> dict[str, Any]:
    """Write the three files; ``answers`` has the predictions of each network, by the number of crops.

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
