"""What all probes share: they measure at some steps of training, and checkpoint and record keep what they measure."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Key = TypeVar("Key", bound=Hashable)


class Probe:
    """Measures S networks, which stand side by side, at the given steps. A subclass has ``look`` and ``record``.

    Attributes:
        taken: The steps at which it has measured so far.
        values: By name, one tensor (S, ...) per step of ``taken``.
    """

    def __init__(self, steps: list[int]):
        self.steps = set(steps)
        self.taken: list[int] = []
        self.values: dict[str, list[Tensor]] = {}

    def __call__(self, step: int) -> None:
        """Measure if the step is one of those given.

        Call it last inside `population_statistics` or `moving_average`: its passes are in training mode, and these put
        back the moving averages. The network is in evaluation mode before and after.
        """
        if step in self.steps and step not in self.taken:
            self.add(step, self.look(step))

    def look(self, step: int) -> dict[str, Tensor]:
        """Measure, and return the values (S, ...) by name."""
        raise NotImplementedError

    def add(self, step: int, values: dict[str, Tensor]) -> None:
        """Add what `look` returned at a step."""
        self.taken.append(step)
        for name, of_networks in values.items():
            self.values.setdefault(name, []).append(of_networks)

    def series(self, k: int) -> dict[str, np.ndarray]:
        """Return network k's values by name, (T, ...)."""
        return {name: torch.stack([v[k] for v in values]).cpu().numpy() for name, values in self.values.items()}

    def record(self, k: int) -> dict[str, np.ndarray]:
        """Return network k's arrays as probes.npz holds them, among them steps (T,)."""
        raise NotImplementedError

    def state(self, k: int) -> dict[str, Any]:
        """Return network k's part of a checkpoint."""
        values = {name: [v[k].clone() for v in values] for name, values in self.values.items()}
        return {"taken": list(self.taken), **values}

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Restore what `state` gave, one state per network."""
        self.taken = list(states[0]["taken"])
        self.values = {}
        for name in states[0]:
            if name != "taken":
                looks = zip(*(state[name] for state in states), strict=True)
                self.values[name] = [torch.stack(networks) for networks in looks]


@contextmanager
def inputs_of(modules: Mapping[Key, nn.Module], transform: Callable[[Tensor], Any]) -> Iterator[dict[Key, list[Any]]]:
    """Inside, each pass through the network appends each module's transformed input to the module's list."""
    inputs: dict[Key, list[Any]] = {key: [] for key in modules}
    with ExitStack() as hooks:
        for key, module in modules.items():
            hook = lambda module, args, key=key: inputs[key].append(transform(args[0]))  # noqa: E731
            hooks.enter_context(module.register_forward_pre_hook(hook))
        yield inputs
