"""The instruments that a configuration chooses, read at the probe's steps and kept in the record."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnrepro.errors import UserError, suggest
from bnrepro.probes.instruments import INSTRUMENTS
from bnrepro.probes.scene import Scene

SEED = 0  # of the training mini-batches that every run is looked at with
BETWEEN = "/"  # instrument/quantity


class InstrumentProbe:
    """Collects float32 arrays (T, L), one a quantity: a number for each look and site.

    Args:
        task: the network and its batches, see `bnrepro.training.tasks`; one network.
        names: keys of `INSTRUMENTS`.
        batches: how many training mini-batches to look at.
        rate: the learning rate of a step.
        steps: the steps at which to look.

    Raises:
        UserError: a name is unknown.
    """

    def __init__(self, task: Any, names: list[str], batches: int, rate: Callable[[int], float], steps: list[int]):
        for name in names:
            if name not in INSTRUMENTS:
                raise UserError(f"unknown instrument probe.instruments=[{name}]; {suggest(name, list(INSTRUMENTS))}")
        self.task, self.names, self.rate, self.steps = task, names, rate, set(steps)
        self.batches = [tuple(t.clone() for t in task.batch([SEED], k)) for k in range(batches)]
        self.taken: list[int] = []
        self.sites: list[str] = []
        self.values: dict[str, list[Tensor]] = {}

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        self.task.prepare([SEED], 0)  # the same dropout masks each time
        return self.task.loss(images, labels)

    def __call__(self, step: int) -> None:
        """Look, if the step is one to look at.

        Call it last inside `population_statistics` or `moving_average`: its passes in training mode move what they
        hold.
        """
        if step not in self.steps or step in self.taken:
            return
        self.taken.append(step)
        self.task.model.train()
        scene = Scene(self.task.model, self._loss, self.task.predict, self.batches, self.rate(step))
        self.sites = [site.name for site in scene.places]
        with torch.enable_grad():
            for name in self.names:
                for quantity, values in INSTRUMENTS[name](scene).items():
                    kept = self.values.setdefault(f"{name}{BETWEEN}{quantity}", [])
                    kept.append(torch.from_numpy(values.astype(np.float32)))
        self.task.model.eval()

    def record(self, k: int) -> dict[str, np.ndarray]:
        """What probes.npz holds: steps (T,), sites (L,), and ``instrument/quantity`` (T, L)."""
        if not self.taken:
            return {}
        arrays = {name: torch.stack(values).numpy() for name, values in self.values.items()}
        return {"steps": np.array(self.taken, np.int64), "sites": np.array(self.sites), **arrays}

    def state(self, k: int) -> dict[str, Any]:
        """The part of a checkpoint."""
        return {"taken": list(self.taken), "sites": list(self.sites), "values": dict(self.values)}

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Take up the part that `state` gave."""
        (state,) = states
        self.taken, self.sites = list(state["taken"]), list(state["sites"])
        self.values = {name: list(values) for name, values in state["values"].items()}


class Probes:
    """Several probes as one."""

    def __init__(self, probes: list[Any]):
        self.probes = probes

    def __call__(self, step: int) -> None:
        for probe in self.probes:
            probe(step)

    def record(self, k: int) -> dict[str, np.ndarray]:
        """All of their arrays; they look at the same steps."""
        return {name: array for probe in self.probes for name, array in probe.record(k).items()}

    def state(self, k: int) -> list[dict[str, Any]]:
        """Their parts of a checkpoint, in order."""
        return [probe.state(k) for probe in self.probes]

    def restore(self, states: list[list[dict[str, Any]]]) -> None:
        """Take up the parts that `state` gave, one a network."""
        for k, probe in enumerate(self.probes):
            probe.restore([state[k] for state in states])
