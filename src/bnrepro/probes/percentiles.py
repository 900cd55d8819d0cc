"""Fig. 1(b, c): the 15th, 50th and 85th percentiles of every nonlinearity's input, over a fixed set of images.

There are three views of the same units. ``training`` is the input of the nonlinearity in the training network N_BN^tr,
where the statistics of each batch of the probe set normalise it. ``inference``, of an `MLP` alone, is the same input in
evaluation mode. ``before`` is W u in training mode before it is normalised. Without a normaliser the three are equal.
With normalisers after the nonlinearity its input is W u + b, and there is no ``before``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.models.mlp import MLP
from bnrepro.probes.probe import Probe, inputs_of
from bnrepro.probes.scene import sites

PERCENTILES = (15, 50, 85)
ARRAYS = {"training": "percentiles", "inference": "percentiles_inference", "before": "percentiles_before"}  # by view
CHANNELS = 4  # of a convolutional layer
POOLED = -1  # the unit that stands for all channels
SAMPLE_SIZE = 2**18  # roughly the number of values that a percentile is taken of


def percentiles_of(values: Tensor) -> Tensor:
    """Return the percentiles along the last axis, linearly interpolated: (..., n) -> (..., 3) in float16."""
    levels = torch.tensor(PERCENTILES, dtype=torch.float32, device=values.device) / 100
    return torch.quantile(values, levels, dim=-1).movedim(0, -1).half()


class PercentileProbe(Probe):
    """Percentiles of the layers of a network, (T, U, 3) per view and network.

    In an `MLP`, of S networks, they are of every unit. In a convolutional network they are over all channels, positions
    and images of the probe set (unit -1), and of `CHANNELS` fixed channels.

    Args:
        model: The network, whose layers are its `sites`.
        forward: Calls the network as training does, so that a mixed precision is the same.
        batches: The probe set, mini-batches that are the same at every step.
        steps: The steps at which to look.
    """

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Any], batches: list[Tensor], steps: list[int]):
        super().__init__(steps)
        self.model, self.forward, self.batches = model, forward, batches
        self.sites, self.dense = sites(model), isinstance(model, MLP)

    @torch.no_grad()
    def look(self, step: int) -> dict[str, Tensor]:
        """Pass the probe set through the network in training mode, and an `MLP` first in evaluation mode."""
        nonlinearities = [site.nonlinearity for site in self.sites]
        percentiles: dict[str, Tensor] = {}
        if self.dense and any(site.norm is not None for site in self.sites):
            percentiles |= self._pass({"inference": nonlinearities})
        views = {"training": nonlinearities}
        if any(site.norm_before for site in self.sites):
            views["before"] = [site.norm if site.norm_before else site.nonlinearity for site in self.sites]
        self.model.train()
        percentiles |= self._pass(views)
        self.model.eval()
        return percentiles

    def _pass(self, views: dict[str, list[nn.Module]]) -> dict[str, Tensor]:
        """Return for each view the percentiles (S, U, 3) of the inputs of its modules, one module per layer."""
        modules = {(view, k): module for view, by_layer in views.items() for k, module in enumerate(by_layer)}
        with inputs_of(modules, self._sample) as samples:
            for batch in self.batches:
                self.forward(batch)
        percentiles: dict[str, list[Tensor]] = {view: [] for view in views}
        for (view, _), by_batch in samples.items():
            for parts in zip(*by_batch, strict=True):
                percentiles[view].append(percentiles_of(torch.cat(parts, dim=-1)).cpu())
        return {view: torch.cat(of_units, dim=1) for view, of_units in percentiles.items()}

    def _sample(self, x: Tensor) -> list[Tensor]:
        """Return the values of a batch in tensors (S, units, values).

        They are all values (S, C, N) of a dense layer. Of a convolutional layer (N, C, H, W) they are a sample of all
        channels, and one of each fixed channel.
        """
        if self.dense:
            return [x]
        share = SAMPLE_SIZE // len(self.batches)
        units = [x, *(x[:, channel] for channel in _channels(x.shape[1]))]
        return [
            values.flatten()[:: _stride(values.numel(), share, x.shape[2:])].float()[None, None] for values in units
        ]

    def record(self, k: int) -> dict[str, np.ndarray]:
        """Return steps (T,), layers and units (U,), percentiles (T, U, 3) per view; of a convolutional network names.

        In an `MLP`, layer 1 is the first hidden one. In a convolutional network ``layers`` indexes ``layer_names``
        (L,), and ``units`` are channels, or -1 for all channels of the layer together.
        """
        if self.dense:
            first, units = 1, [np.arange(site.weight.shape[1]) for site in self.sites]
        else:
            first, units = 0, [[POOLED, *_channels(site.linear.out_channels)] for site in self.sites]
        names = {} if self.dense else {"layer_names": np.array([site.name for site in self.sites])}
        return {
            "steps": np.array(self.taken, np.int64),
            "layers": np.repeat(np.arange(first, first + len(units)), [len(u) for u in units]).astype(np.int16),
            "units": np.concatenate(units).astype(np.int16),
            **names,
            **{ARRAYS[view]: values for view, values in self.series(k).items()},
        }


def _channels(count: int) -> list[int]:
    """Return the evenly spaced fixed channels of a layer with ``count`` channels."""
    return [k * count // CHANNELS for k in range(CHANNELS)]


def _stride(count: int, enough: int, grid: torch.Size) -> int:
    """Return the stride that samples about ``enough`` of ``count`` values, from all rows and columns of maps alike."""
    stride = -(-count // enough)
    while stride > 1 and any(math.gcd(stride, size) > 1 for size in grid):
        stride += 1
    return stride
