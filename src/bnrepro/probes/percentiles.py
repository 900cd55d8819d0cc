"""Fig. 1(b, c): the 15th, 50th and 85th percentiles of every nonlinearity's input, over a fixed set of images.

There are three views of the same units. ``training`` is the input of the nonlinearity in the training network N_BN^tr,
where the statistics of each batch of the probe set normalise it. ``inference`` is the same input in evaluation mode.
``before`` is W u in training mode before it is normalised. Without a normaliser the three are equal. With normalisers
after the nonlinearity its input is W u + b, and there is no ``before``.
"""

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.models.placement import normalises
from bnrepro.probes.probe import Probe, inputs_of, percentiles_of

VIEWS = {"training": "percentiles", "inference": "percentiles_inference", "before": "percentiles_before"}  # arrays


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
        modules = {
            (view, k): getattr(layer, n) for view, n in views.items() for k, layer in enumerate(self.model.hidden)
        }
        with inputs_of(modules, lambda x: x) as inputs:
            for batch in self.images:
                self.model(batch.float().expand(self.model.stack, -1, -1))
        for view in views:
            layers = [inputs[view, k] for k in range(len(self.model.hidden))]  # one tensor (S, C, N) per batch
            self.keep(view, torch.cat([percentiles_of(torch.cat(batches, dim=-1)) for batches in layers], dim=1))

    def record(self, k: int) -> dict[str, np.ndarray]:
        """steps (T,), layers (1 is the first hidden one) and units (U,), percentiles (T, U, 3) per view."""
        widths = [layer.linear.weight.shape[1] for layer in self.model.hidden]
        return {
            "steps": np.array(self.taken, np.int64),
            "layers": np.repeat(np.arange(1, len(widths) + 1), widths).astype(np.int16),
            "units": np.concatenate([np.arange(width) for width in widths]).astype(np.int16),
            **{VIEWS[view]: values for view, values in self.series(k).items()},
        }
