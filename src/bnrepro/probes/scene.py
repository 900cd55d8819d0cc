"""What an instrument is given: the layers of a network in training mode, and mini-batches to measure them with."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.models.convolution import ConvUnit
from bnrepro.models.mlp import MLP
from bnrepro.models.placement import normalises

Quantities = dict[str, np.ndarray]  # (L,) by the name of the quantity, one value per site


class Site(NamedTuple):
    """One layer: the module with the weight W, the normaliser if there is one, and the nonlinearity.

    The normaliser is of W u (``norm_before``), or it follows the nonlinearity (`bnrepro.models.placement`).
    """

    name: str
    linear: nn.Module
    norm: nn.Module | None
    nonlinearity: nn.Module
    norm_before: bool

    @property
    def weight(self) -> nn.Parameter:
        """W; in a separable layer that of the 1x1 convolution."""
        return self.linear.weight


def sites(model: nn.Module) -> list[Site]:
    """Return the hidden layers of an MLP or of a convolutional network, in its order from the input."""
    if isinstance(model, MLP):
        layers = [(f"layer{k}", layer, layer.linear) for k, layer in enumerate(model.hidden, 1)]
    else:
        layers = [(name, unit, unit.conv) for name, unit in model.named_modules() if isinstance(unit, ConvUnit)]
    return [
        Site(name, linear, getattr(layer, "norm", None), layer.nonlinearity, normalises(layer, "before"))
        for name, layer, linear in layers
    ]


class Activations(NamedTuple):
    """What passes a site: its input u, the affine W u, and the nonlinearity's input x.

    Without a normaliser, and with one after the nonlinearity, x is W u (+ b) itself. u is the output of the layer
    before, normalised if that layer's normaliser follows its nonlinearity.
    """

    u: Tensor
    affine: Tensor
    x: Tensor


@contextmanager
def recorded_activations(observed: list[Site]) -> Iterator[dict[str, Activations]]:
    """Inside, each pass through the network leaves each site's activations in the dictionary, by the site's name."""
    affine: dict[str, tuple[Tensor, Tensor]] = {}
    latest: dict[str, Activations] = {}

    def add_hooks(site: Site, hooks: ExitStack) -> None:
        def after_linear(module: nn.Module, args: tuple, out: Tensor) -> None:
            affine[site.name] = args[0], out

        def before_nonlinearity(module: nn.Module, args: tuple) -> None:
            latest[site.name] = Activations(*affine.pop(site.name), args[0])

        hooks.enter_context(site.linear.register_forward_hook(after_linear))
        hooks.enter_context(site.nonlinearity.register_forward_pre_hook(before_nonlinearity))

    with ExitStack() as hooks:
        for site in observed:
            add_hooks(site, hooks)
        yield latest


@dataclass
class Scene:
    """A network with its sites and the mini-batches to measure with.

    Args:
        model: In training mode.
        loss: From images and labels to each network's loss, as training computes it.
        predict: From images to logits.
        batches: Images and labels of training mini-batches, the same at every look.
        rate: The learning rate at this step.
    """

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    predict: Callable[[Tensor], Tensor]
    batches: list[tuple[Tensor, Tensor]]
    rate: float
    sites: list[Site] = field(init=False)

    def __post_init__(self) -> None:
        self.sites = sites(self.model)

    def first_pass(self) -> tuple[dict[str, Activations], Tensor]:
        """Return the activations of the first batch, by the site's name and with their graph, and its loss."""
        with recorded_activations(self.sites) as activations:
            loss = self.loss(*self.batches[0])
        return activations, loss

    def activations(self) -> dict[str, list[Activations]]:
        """Return each site's activations by its name, one element per batch."""
        by_site: dict[str, list[Activations]] = {site.name: [] for site in self.sites}
        with torch.no_grad(), recorded_activations(self.sites) as latest:
            for images, labels in self.batches:
                self.loss(images, labels)
                for name, activations in latest.items():
                    by_site[name].append(activations)
        return by_site


def per_site(values: Iterable[Tensor]) -> np.ndarray:
    """Return scalars, one per site, as (L,)."""
    return np.array([float(value.detach()) for value in values])


def by_feature(x: Tensor) -> Tensor:
    """Return activations (N, C, *spatial), or (1, C, N) of an MLP, as (C, values)."""
    return x.transpose(0, 1).flatten(1)


def slope_at(site: Site, x: Tensor) -> Tensor:
    """Return the derivative of a site's nonlinearity at every value of x, flat."""
    with torch.enable_grad():
        x = x.detach().view(1, 1, -1).requires_grad_()
        return torch.autograd.grad(site.nonlinearity(x).sum(), x)[0].flatten()
