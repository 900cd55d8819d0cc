"""The percentiles of Fig. 1(b, c) for every layer of a convolutional network: pooled, and of a few channels.

For each nonlinearity, in the order of the network: the percentiles of its input over all channels, positions and
images of the probe set (unit -1), and of `CHANNELS` fixed channels alone. Two views, both in training mode, where each
batch is normalised by its own statistics: ``training``, the input of the nonlinearity, and ``before``, W u before it
is normalised. Without a normaliser the two are one; with normalisers after the nonlinearity there is no ``before``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.models.convolution import ConvUnit
from bnrepro.models.placement import normalises
from bnrepro.probes.percentiles import PERCENTILES

CHANNELS = 4
POOLED = -1
ENOUGH = 2**18  # values that a percentile is taken of, about
VIEWS = {"training": ("percentiles", "nonlinearity"), "before": ("percentiles_before", "norm")}


class LayerProbe:
    """Collects float16 percentiles of every `ConvUnit`, (T, U, 3) a view.

    Args:
        model: the network.
        forward: calls it as training does, so that a mixed precision is the same.
        batches: the probe set, mini-batches (N, C, H, W) that are the same at every step.
        steps: the steps at which to look.
    """

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Any], batches: list[Tensor], steps: list[int]):
        self.model, self.forward, self.batches, self.steps = model, forward, batches, set(steps)
        self.layers = {name: unit for name, unit in model.named_modules() if isinstance(unit, ConvUnit)}
        normalised = any(normalises(unit, "before") for unit in self.layers.values())
        self.views = list(VIEWS) if normalised else ["training"]
        self.taken: list[int] = []
        self.values: dict[str, list[Tensor]] = {view: [] for view in self.views}

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        """Look, if the step is one to look at.

        Call it last inside `population_statistics` or `moving_average`: its passes in training mode move what they
        hold.
        """
        if step not in self.steps or step in self.taken:
            return
        self.taken.append(step)
        caught: dict[tuple[str, str], list[list[Tensor]]] = {}
        hooks = []
        for view in self.views:
            for name, unit in self.layers.items():
                into = caught.setdefault((view, name), [])
                hook = lambda module, args, into=into: into.append(self._sample(args[0]))  # noqa: E731
                hooks.append(getattr(unit, VIEWS[view][1]).register_forward_pre_hook(hook))
        self.model.train()
        try:
            for batch in self.batches:
                self.forward(batch)
        finally:
            self.model.eval()
            for hook in hooks:
                hook.remove()
        for view in self.views:
            rows = [_percentiles([torch.cat(part) for part in zip(*caught[view, n], strict=True)]) for n in self.layers]
            self.values[view].append(torch.cat(rows).half().cpu())

    def _sample(self, x: Tensor) -> list[Tensor]:
        """What is kept of a batch (N, C, H, W): values of all channels together, then of each chosen channel."""
        share = ENOUGH // len(self.batches)
        chosen = [x, *(x[:, channel] for channel in _channels(x.shape[1]))]
        return [values.flatten()[:: _stride(values.numel(), share, x.shape[2:])].float() for values in chosen]

    def record(self, k: int) -> dict[str, np.ndarray]:
        """What probes.npz holds: steps (T,), layers and units (U,), layer_names (L,), percentiles (T, U, 3) a view.

        ``layers`` indexes ``layer_names``; ``units`` are channels, -1 for all of the layer's together.
        """
        units = [[POOLED, *_channels(unit.conv.out_channels)] for unit in self.layers.values()]
        arrays = {VIEWS[v][0]: torch.stack(self.values[v]).numpy() for v in self.views if self.taken}
        return {
            "steps": np.array(self.taken, np.int64),
            "layers": np.repeat(np.arange(len(units)), [len(u) for u in units]).astype(np.int16),
            "units": np.concatenate(units).astype(np.int16),
            "layer_names": np.array(list(self.layers)),
            **arrays,
        }

    def state(self, k: int) -> dict[str, Any]:
        """The part of a checkpoint."""
        return {"taken": list(self.taken), **{view: list(self.values[view]) for view in self.views}}

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Take up the part that `state` gave."""
        (state,) = states
        self.taken = list(state["taken"])
        self.values = {view: list(state[view]) for view in self.views}


def _channels(count: int) -> list[int]:
    """Evenly spaced channels of a layer."""
    return [k * count // CHANNELS for k in range(CHANNELS)]


def _stride(count: int, enough: int, grid: torch.Size) -> int:
    """Every so many-th value is taken: about ``enough`` of them, and from every row and column of the map alike."""
    stride = -(-count // enough)
    while stride > 1 and any(math.gcd(stride, size) > 1 for size in grid):
        stride += 1
    return stride


def _percentiles(samples: list[Tensor]) -> Tensor:
    """Of each sample (n,), (len(samples), 3)."""
    levels = torch.tensor(PERCENTILES, dtype=torch.float32, device=samples[0].device) / 100
    return torch.stack([torch.quantile(values, levels) for values in samples])
