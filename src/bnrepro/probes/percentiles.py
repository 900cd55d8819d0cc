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

from bnrepro.models.convolution import ConvUnit
from bnrepro.models.placement import normalises
from bnrepro.probes.probe import Probe, inputs_of

PERCENTILES = (15, 50, 85)
ARRAYS = {"training": "percentiles", "inference": "percentiles_inference", "before": "percentiles_before"}  # by view
CHANNELS = 4  # of a convolutional layer
POOLED = -1  # the unit that stands for all channels
ENOUGH = 2**18  # roughly the number of values that a percentile is taken of


def percentiles_of(values: Tensor) -> Tensor:
    """Return the percentiles along the last axis, linearly interpolated: (..., n) -> (..., 3) in float16."""
    levels = torch.tensor(PERCENTILES, dtype=torch.float32, device=values.device) / 100
    return torch.quantile(values, levels, dim=-1).movedim(0, -1).half()


class PercentileProbe(Probe):
    """Percentiles of every unit of an `MLP`'s S networks, (T, U, 3) per view and network.

    Args:
        model: Its ``hidden`` layers name their nonlinearity, and their normaliser where there is one.
        images: (B, N, inputs), B probe batches of N images, the same at every step.
        steps: The steps at which to look.
    """

    def __init__(self, model: nn.Module, images: Tensor, steps: list[int]):
        super().__init__(steps)
        self.model, self.images = model, images
        self.norm_before = any(normalises(layer, "before") for layer in model.hidden)
        self.norm_after = any(normalises(layer, "after") for layer in model.hidden)

    @torch.no_grad()
    def look(self, step: int) -> None:
        """Pass the probe set through the network in both modes."""
        if self.norm_before or self.norm_after:
            self._pass({"inference": "nonlinearity"})
        self.model.train()
        self._pass({"training": "nonlinearity"} | ({"before": "norm"} if self.norm_before else {}))
        self.model.eval()

    def _pass(self, views: dict[str, str]) -> None:
        """Keep for each view the percentiles (S, U, 3) of the inputs of the named modules, layer after layer."""
        layers = list(enumerate(self.model.hidden))
        modules = {(view, k): getattr(layer, name) for view, name in views.items() for k, layer in layers}
        with inputs_of(modules, lambda x: x) as inputs:
            for batch in self.images:
                self.model(batch.float().expand(self.model.stack, -1, -1))
        for view in views:
            by_layer = [torch.cat(inputs[view, k], dim=-1) for k, _ in layers]  # (S, C, B * N)
            self.keep(view, torch.cat([percentiles_of(values) for values in by_layer], dim=1))

    def record(self, k: int) -> dict[str, np.ndarray]:
        """Return steps (T,), layers (1 is the first hidden one) and units (U,), percentiles (T, U, 3) per view."""
        widths = [layer.linear.weight.shape[1] for layer in self.model.hidden]
        return {
            "steps": np.array(self.taken, np.int64),
            "layers": np.repeat(np.arange(1, len(widths) + 1), widths).astype(np.int16),
            "units": np.concatenate([np.arange(width) for width in widths]).astype(np.int16),
            **{ARRAYS[view]: values for view, values in self.series(k).items()},
        }


class LayerProbe(Probe):
    """Percentiles of every `ConvUnit` of a network, (T, U, 3) per view.

    They are over all channels, positions and images of the probe set (unit -1), and of `CHANNELS` fixed channels.

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
        """Return a sample of the values of a batch (N, C, H, W): of all channels, then of each fixed channel."""
        share = ENOUGH // len(self.batches)
        units = [x, *(x[:, channel] for channel in _channels(x.shape[1]))]
        return [values.flatten()[:: _stride(values.numel(), share, x.shape[2:])].float() for values in units]

    def record(self, k: int) -> dict[str, np.ndarray]:
        """Return steps (T,), layers and units (U,), layer_names (L,), percentiles (T, U, 3) per view.

        ``layers`` indexes ``layer_names``. ``units`` are channels, or -1 for all channels of the layer together.
        """
        units = [[POOLED, *_channels(unit.conv.out_channels)] for unit in self.layers.values()]
        return {
            "steps": np.array(self.taken, np.int64),
            "layers": np.repeat(np.arange(len(units)), [len(u) for u in units]).astype(np.int16),
            "units": np.concatenate(units).astype(np.int16),
            "layer_names": np.array(list(self.layers)),
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
