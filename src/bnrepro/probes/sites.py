"""Where instruments measure: at every W u with what follows it, in MLPs and convolutional networks alike."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnrepro.models.convolution import ConvUnit
from bnrepro.models.mlp import MLP


class Site(NamedTuple):
    """One layer: the module with the weight W, the normaliser if there is one, and the nonlinearity.

    The normaliser is of W u, or it follows the nonlinearity (`bnrepro.models.placement`).
    """

    name: str
    linear: nn.Module
    norm: nn.Module | None
    nonlinearity: nn.Module

    @property
    def weight(self) -> nn.Parameter:
        """W; in a separable layer that of the 1x1 convolution."""
        return self.linear.weight


def sites(model: nn.Module) -> list[Site]:
    """The hidden layers in the order of the network, from its input."""
    if isinstance(model, MLP):
        layers = [(f"layer{k}", layer, layer.linear) for k, layer in enumerate(model.hidden, 1)]
    else:
        layers = [(name, unit, unit.conv) for name, unit in model.named_modules() if isinstance(unit, ConvUnit)]
    return [Site(name, linear, getattr(layer, "norm", None), layer.nonlinearity) for name, layer, linear in layers]


class Activations(NamedTuple):
    """What passes a site: its input u, the affine W u, and the nonlinearity's input x.

    Without a normaliser, and with one after the nonlinearity, x is W u (+ b) itself. u is the output of the layer
    before, normalised if that layer's normaliser follows its nonlinearity.
    """

    u: Tensor
    affine: Tensor
    x: Tensor


@contextmanager
def watched(watched_sites: list[Site]) -> Iterator[dict[str, Activations]]:
    """Inside, each pass through the network leaves each site's activations in the dictionary, by the site's name."""
    affine: dict[str, tuple[Tensor, Tensor]] = {}
    latest: dict[str, Activations] = {}

    def watch(site: Site, hooks: ExitStack) -> None:
        def after_linear(module: nn.Module, args: tuple, out: Tensor) -> None:
            affine[site.name] = args[0], out

        def before_nonlinearity(module: nn.Module, args: tuple) -> None:
            latest[site.name] = Activations(*affine.pop(site.name), args[0])

        hooks.enter_context(site.linear.register_forward_hook(after_linear))
        hooks.enter_context(site.nonlinearity.register_forward_pre_hook(before_nonlinearity))

    with ExitStack() as hooks:
        for site in watched_sites:
            watch(site, hooks)
        yield latest


def by_feature(x: Tensor) -> Tensor:
    """Activations (N, C, *spatial), or (1, C, N) of an MLP, as (C, values)."""
    return x.transpose(0, 1).flatten(1)


def loss_gradients(loss: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """The gradients of a summed loss to these tensors, 0 for unused ones. No ``.grad`` is touched."""
    gradients = torch.autograd.grad(loss.sum(), tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)]
