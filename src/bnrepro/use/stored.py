"""Predictions kept in a run's directory, so that asking the same network about the same images costs nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bnrepro.data.pictures import Pictures
from bnrepro.records.files import write_atomically
from bnrepro.use.multicrop import Predictions, predict
from bnrepro.use.trained import Trained


def predictions(
    directory: Path,
    trained: Trained,
    pictures: Pictures,
    kind: int,
    interpolation: str,
    tick: Callable[[int], None] = lambda done: None,
) -> Predictions:
    """What a run's network says of images with ``kind`` crops; asked only if it has not been.

    ``directory`` is the run's; ``predictions/`` in it holds a file for each set of images, number of crops, and state
    of the network.
    """
    name = f"{pictures.fingerprint}-{kind}-{interpolation}-{trained.digest[:16]}.npz"
    path = directory / "predictions" / name
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return Predictions(kept["probabilities"], kept["logits"])
    found = predict(trained.predictor(), pictures, kind, trained.config.data.pixels, interpolation, tick)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: np.savez(file, **found._asdict()))
    return found
