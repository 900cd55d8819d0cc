"""Where a network is measured: every W u with what follows it, of an MLP and of the convolutional networks alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnrepro.models.convolution import ConvUnit
from bnrepro.models.mlp import MLP


class Site(NamedTuple):
    """One layer: the module with the weight W, the normaliser if there is one, the nonlinearity.

    The normaliser is of W u, or after the nonlinearity (see `bnrepro.models.placement`).
    """

    name: str
    linear: nn.Module
    norm: nn.Module | None
    nonlinearity: nn.Module

    @property
    def weight(self) -> nn.Parameter:
        """W; the 1x1 convolution's where the layer is separable."""
        return self.linear.weight


def sites(model: nn.Module) -> list[Site]:
    """The hidden layers in the order of the network, from its input."""
    if isinstance(model, MLP):
        return [
            Site(f"layer{k}", layer.linear, getattr(layer, "norm", None), layer.nonlinearity)
            for k, layer in enumerate(model.hidden, 1)
        ]
    units = [(name, unit) for name, unit in model.named_modules() if isinstance(unit, ConvUnit)]
    return [Site(name, unit.conv, getattr(unit, "norm", None), unit.nonlinearity) for name, unit in units]


class Activations(NamedTuple):
    """What passes a site: its input u, the affine W u, and the nonlinearity's input x.

    x is W u (+ b) itself without a normaliser and with one after the nonlinearity. u is the output of the layer before,
    normalised where that layer's normaliser stands after its nonlinearity.
    """

    u: Tensor
    affine: Tensor
    x: Tensor


@contextmanager
def watched(watched_sites: list[Site]) -> Iterator[dict[str, Activations]]:
    """Inside, each pass through the network leaves each site's activations in the dictionary, by its name."""
    partial: dict[str, dict[str, Tensor]] = {site.name: {} for site in watched_sites}
    latest: dict[str, Activations] = {}

    def keep(name: str, **tensors: Tensor) -> None:
        partial[name] |= tensors
        if len(partial[name]) == 3:
            latest[name] = Activations(**partial[name])
            partial[name] = {}

    hooks = []
    for site in watched_sites:
        of_linear = lambda module, args, out, name=site.name: keep(name, u=args[0], affine=out)  # noqa: E731
        of_nonlinearity = lambda module, args, name=site.name: keep(name, x=args[0])  # noqa: E731
        hooks.append(site.linear.register_forward_hook(of_linear))
        hooks.append(site.nonlinearity.register_forward_pre_hook(of_nonlinearity))
    try:
        yield latest
    finally:
        for hook in hooks:
            hook.remove()


def by_feature(x: Tensor) -> Tensor:
    """Activations (N, C, *spatial), or an MLP's (1, C, N), as (C, values)."""
    return x.transpose(0, 1).flatten(1)


def loss_gradients(loss: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """The gradients of a summed loss to these tensors, without touching what the optimiser will use; 0 for unused."""
    gradients = torch.autograd.grad(loss.sum(), tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)]
