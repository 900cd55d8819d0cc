"""The percentiles of Fig. 1(b, c) for every layer of a convolutional network.

For each nonlinearity, in the order of the network, there are the percentiles of its input over all channels, positions
and images of the probe set (unit -1), and those of `CHANNELS` fixed channels. There are two views, both in training
mode, where each batch is normalised by its own statistics: ``training`` is the input of the nonlinearity, and
``before`` is W u before it is normalised. Without a normaliser the two are equal. With normalisers after the
nonlinearity there is no ``before``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.models.convolution import ConvUnit
from bnrepro.models.placement import normalises
from bnrepro.probes.percentiles import VIEWS
from bnrepro.probes.probe import Probe, inputs_of, percentiles_of

CHANNELS = 4
POOLED = -1
ENOUGH = 2**18  # roughly the number of values that a percentile is taken of


class LayerProbe(Probe):
    """Percentiles of every `ConvUnit`, (T, U, 3) per view.

    Args:
        model: The network.
        forward: Calls the network as training does, so that a mixed precision is the same.
        batches: The probe set, mini-batches (N, C, H, W) that are the same at every step.
        steps: The steps at which to look.
    """

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Any], batches: list[Tensor], steps: list[int]):
        super().__init__(steps)
        self.model, self.forward, self.batches = model, forward, batches
        self.layers = {name: unit for name, unit in model.named_modules() if isinstance(unit, ConvUnit)}
        norm_before = any(normalises(unit, "before") for unit in self.layers.values())
        self.views = {"training": "nonlinearity"} | ({"before": "norm"} if norm_before else {})

    @torch.no_grad()
    def look(self, step: int) -> None:
        """Pass the probe set through the network in training mode."""
        modules = {(view, n): getattr(u, part) for view, part in self.views.items() for n, u in self.layers.items()}
        self.model.train()
        with inputs_of(modules, self._sample) as samples:
            for batch in self.batches:
                self.forward(batch)
        self.model.eval()
        for view in self.views:
            units = [torch.cat(parts) for name in self.layers for parts in zip(*samples[view, name], strict=True)]
            self.keep(view, torch.stack([percentiles_of(values) for values in units])[None].cpu())

    def _sample(self, x: Tensor) -> list[Tensor]:
        """A sample of the values of a batch (N, C, H, W): of all channels together, then of each fixed channel."""
        share = ENOUGH // len(self.batches)
        units = [x, *(x[:, channel] for channel in _channels(x.shape[1]))]
        return [values.flatten()[:: _stride(values.numel(), share, x.shape[2:])].float() for values in units]

    def record(self, k: int) -> dict[str, np.ndarray]:
        """steps (T,), layers and units (U,), layer_names (L,), percentiles (T, U, 3) per view.

        ``layers`` indexes ``layer_names``. ``units`` are channels, or -1 for all channels of the layer together.
        """
        units = [[POOLED, *_channels(unit.conv.out_channels)] for unit in self.layers.values()]
        return {
            "steps": np.array(self.taken, np.int64),
            "layers": np.repeat(np.arange(len(units)), [len(u) for u in units]).astype(np.int16),
            "units": np.concatenate(units).astype(np.int16),
            "layer_names": np.array(list(self.layers)),
            **{VIEWS[view]: values for view, values in self.series(k).items()},
        }


def _channels(count: int) -> list[int]:
    """The evenly spaced fixed channels of a layer with ``count`` channels."""
    return [k * count // CHANNELS for k in range(CHANNELS)]


def _stride(count: int, enough: int, grid: torch.Size) -> int:
    """The stride that samples about ``enough`` of ``count`` values, from every row and column of the map alike."""
    stride = -(-count // enough)
    while stride > 1 and any(math.gcd(stride, size) > 1 for size in grid):
        stride += 1
    return stride
