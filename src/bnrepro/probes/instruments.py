"""Instruments: what the paper's claims need measured inside a network while it trains, one number per layer and look.

An instrument is a function of a `Scene`. It gives arrays (L,) by the name of the quantity, with one value per site
(`sites`), and leaves the network, which is in training mode, as it was. ``probe.instruments=[gradients,...]`` chooses
instruments for any run.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnrepro.errors import UserError, suggest
from bnrepro.probes.of_activations import (
    batch_noise,
    gaussianity,
    linearity,
    moments,
    saturation,
    unsteadiness,
    weights,
)
from bnrepro.probes.of_gradients import amplification, gradients, jacobian, shift
from bnrepro.probes.probe import Probe
from bnrepro.probes.scene import Quantities, Scene, sites

INSTRUMENTS: dict[str, Callable[[Scene], Quantities]] = {
    instrument.__name__: instrument
    for instrument in (
        *(gradients, weights, moments, saturation, linearity),
        *(gaussianity, shift, amplification, jacobian, batch_noise, unsteadiness),
    )
}
SEED = 0  # of the training mini-batches that every run is measured with


class InstrumentProbe(Probe):
    """Float32 arrays (T, L) by ``instrument/quantity``: a number for each look and site.

    Args:
        task: One network and its batches (`bnrepro.training.tasks`).
        names: Keys of `INSTRUMENTS`.
        batches: The number of training mini-batches to measure with.
        rate: Gives the learning rate of a step.
        steps: The steps at which to look.
    """

    def __init__(self, task: Any, names: list[str], batches: int, rate: Callable[[int], float], steps: list[int]):
        super().__init__(steps)
        for name in names:
            if name not in INSTRUMENTS:
                raise UserError(f"unknown instrument probe.instruments=[{name}]; {suggest(name, list(INSTRUMENTS))}")
        self.task, self.names, self.rate = task, names, rate
        self.batches = [tuple(t.clone() for t in task.batch([SEED], k)) for k in range(batches)]

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        self.task.prepare([SEED], 0)  # the same dropout masks each time
        return self.task.loss(images, labels)

    def look(self, step: int) -> dict[str, Tensor]:
        """Take every instrument's measurements."""
        measured: dict[str, Tensor] = {}
        self.task.model.train()
        scene = Scene(self.task.model, self._loss, self.task.predict, self.batches, self.rate(step))
        with torch.enable_grad():
            for name in self.names:
                for quantity, values in INSTRUMENTS[name](scene).items():
                    measured[f"{name}/{quantity}"] = torch.from_numpy(values.astype(np.float32))[None]
        self.task.model.eval()
        return measured

    def record(self, k: int) -> dict[str, np.ndarray]:
        """steps (T,), sites (L,), and each quantity (T, L)."""
        names = np.array([site.name for site in sites(self.task.model)])
        return {"steps": np.array(self.taken, np.int64), "sites": names, **self.series(k)}
