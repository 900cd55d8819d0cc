"""What all probes share: they measure at some steps of training; checkpoint and record keep what they measure."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

PERCENTILES = (15, 50, 85)
Key = TypeVar("Key", bound=Hashable)


class Probe:
    """Measures at the given steps, in a subclass's ``look``.

    ``taken`` are the steps so far at which it has, and ``values`` holds by name one tensor per such step, (S, ...),
    where S networks are side by side.
    """

    def __init__(self, steps: list[int]):
        self.steps = set(steps)
        self.taken: list[int] = []
        self.values: dict[str, list[Tensor]] = {}

    def __call__(self, step: int) -> None:
        """Look, if the step is one to look at.

        Call it last inside `population_statistics` or `moving_average`, which put back what a look moves: its passes
        are in training mode. The network is in evaluation mode before and after.
        """
        if step in self.steps and step not in self.taken:
            self.taken.append(step)
            self.look(step)

    def look(self, step: int) -> None:
        """Measure, and `keep` the results."""
        raise NotImplementedError

    def keep(self, name: str, values: Tensor) -> None:
        """Add one look's values (S, ...)."""
        self.values.setdefault(name, []).append(values)

    def series(self, k: int) -> dict[str, np.ndarray]:
        """Network k's values by name, (T, ...)."""
        return {name: torch.stack([v[k] for v in values]).cpu().numpy() for name, values in self.values.items()}

    def record(self, k: int) -> dict[str, np.ndarray]:
        """Network k's arrays as probes.npz holds them, among them steps (T,)."""
        raise NotImplementedError

    def state(self, k: int) -> dict[str, Any]:
        """Network k's part of a checkpoint."""
        values = {name: [v[k].clone() for v in values] for name, values in self.values.items()}
        return {"taken": list(self.taken), **values}

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Take up the parts that `state` gave, one per network."""
        self.taken = list(states[0]["taken"])
        names = [name for name in states[0] if name != "taken" and states[0][name]]
        self.values = {
            name: [torch.stack(look) for look in zip(*(state[name] for state in states), strict=True)] for name in names
        }


@contextmanager
def inputs_of(modules: Mapping[Key, nn.Module], of_input: Callable[[Tensor], Any]) -> Iterator[dict[Key, list[Any]]]:
    """Inside, each pass through the network adds what ``of_input`` gives of each module's input to its list."""
    caught: dict[Key, list[Any]] = {key: [] for key in modules}

    def catcher(key: Key) -> Callable:
        return lambda module, args: caught[key].append(of_input(args[0]))

    hooks = [module.register_forward_pre_hook(catcher(key)) for key, module in modules.items()]
    try:
        yield caught
    finally:
        for hook in hooks:
            hook.remove()


def percentiles_of(values: Tensor) -> Tensor:
    """The percentiles along the last axis, linearly interpolated: (..., n) -> (..., 3) in float16."""
    levels = torch.tensor(PERCENTILES, dtype=torch.float32, device=values.device) / 100
    return torch.quantile(values, levels, dim=-1).movedim(0, -1).half()
