"""Fig. 1(b, c): the 15th, 50th and 85th percentiles of every nonlinearity's input, over a fixed set of images.

Three views of the same units: ``training``, the input of the nonlinearity in the training network N_BN^tr, where
each batch of the probe set is normalised by its own statistics; ``inference``, the same input in evaluation mode; and
``before``, W u in training mode before it is normalised. Without a normaliser the three are one; with normalisers
after the nonlinearity its input is W u + b, and there is no ``before``.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.models.placement import normalises

PERCENTILES = (15, 50, 85)
VIEWS = ("training", "inference", "before")


class PercentileProbe:
    """Collects float16 percentiles of an `MLP`'s S networks; one array (T, U, 3) a view and network.

    Args:
        model: its ``hidden`` layers name their nonlinearity, and their normaliser where there is one.
        images: (B, N, inputs), B probe batches of N images, the same at every step.
        steps: the steps at which to look.
    """

    def __init__(self, model: nn.Module, images: Tensor, steps: list[int]):
        self.model, self.images, self.steps = model, images, set(steps)
        if any(normalises(layer, "before") for layer in model.hidden):
            self.views = VIEWS
        else:
            self.views = VIEWS[:2] if any(normalises(layer, "after") for layer in model.hidden) else VIEWS[:1]
        self.taken: list[int] = []
        self.values: dict[str, list[Tensor]] = {view: [] for view in self.views}

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        """Look, if the step is one to look at.

        Call it last inside `population_statistics`: its passes in training mode move the statistics in place.
        """
        if step not in self.steps or step in self.taken:
            return
        self.taken.append(step)
        if "inference" in self.views:
            self.values["inference"].append(self._percentiles(self._inputs(["nonlinearity"]))[0])
        self.model.train()
        wanted = ["nonlinearity", "norm"] if "before" in self.views else ["nonlinearity"]
        for view, taken in zip(("training", "before"), self._percentiles(self._inputs(wanted)), strict=False):
            self.values[view].append(taken)
        self.model.eval()

    def _inputs(self, names: list[str]) -> list[list[Tensor]]:
        """For each kind of module, each hidden layer's input over the probe set, (S, C, B*N)."""
        caught: dict[tuple[str, int], list[Tensor]] = {}
        hooks = []
        for name in names:
            for depth, layer in enumerate(self.model.hidden):
                into = caught.setdefault((name, depth), [])
                hook = lambda module, args, into=into: into.append(args[0])  # noqa: E731
                hooks.append(getattr(layer, name).register_forward_pre_hook(hook))
        try:
            for batch in self.images:
                self.model(batch.float().expand(self.model.stack, -1, -1))
        finally:
            for hook in hooks:
                hook.remove()
        return [[torch.cat(caught[name, depth], dim=-1) for depth in range(len(self.model.hidden))] for name in names]

    def _percentiles(self, kinds: list[list[Tensor]]) -> list[Tensor]:
        """Linear-interpolated percentiles, (S, U, 3) with the units of all layers in order, for each kind."""
        levels = torch.tensor(PERCENTILES, dtype=torch.float32, device=self.images.device) / 100
        return [
            torch.cat([torch.quantile(layer, levels, dim=-1).permute(1, 2, 0) for layer in layers], dim=1).half()
            for layers in kinds
        ]

    def units(self) -> dict[str, np.ndarray]:
        """For each of the U units its layer (1 is the first hidden layer) and its index there."""
        widths = [layer.linear.weight.shape[1] for layer in self.model.hidden]
        return {
            "layers": np.repeat(np.arange(1, len(widths) + 1), widths).astype(np.int16),
            "units": np.concatenate([np.arange(width) for width in widths]).astype(np.int16),
        }

    def record(self, k: int) -> dict[str, np.ndarray]:
        """Network k's arrays as probes.npz holds them: steps (T,), layers and units (U,), percentiles (T, U, 3)."""
        names = {"training": "percentiles", "inference": "percentiles_inference", "before": "percentiles_before"}
        arrays = {names[v]: torch.stack([t[k] for t in self.values[v]]).cpu().numpy() for v in self.views if self.taken}
        return {"steps": np.array(self.taken, np.int64), **self.units(), **arrays}

    def state(self, k: int) -> dict[str, Any]:
        """Network k's part of a checkpoint."""
        return {"taken": list(self.taken), **{v: [t[k].clone() for t in self.values[v]] for v in self.views}}

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Take up the parts that `state` gave, one a network."""
        self.taken = list(states[0]["taken"])
        for view in self.views:
            self.values[view] = [torch.stack(at) for at in zip(*(s[view] for s in states), strict=True)]
