"""What an instrument is given: a network in training mode, and the fixed mini-batches that it measures with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.probes.sites import Activations, Site, sites, watched

Quantities = dict[str, np.ndarray]  # (L,) by the name of the quantity, one value per site


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
        """The activations of the first batch, by the site's name and with their graph, and its loss."""
        with watched(self.sites) as activations:
            loss = self.loss(*self.batches[0])
        return activations, loss

    def activations(self) -> dict[str, list[Activations]]:
        """Each site's activations by its name, one element per batch."""
        by_site: dict[str, list[Activations]] = {site.name: [] for site in self.sites}
        with torch.no_grad(), watched(self.sites) as latest:
            for images, labels in self.batches:
                self.loss(images, labels)
                for name, activations in latest.items():
                    by_site[name].append(activations)
        return by_site


def each(values: Iterable[Tensor]) -> np.ndarray:
    """Scalars, one per site, as (L,)."""
    return np.array([float(value.detach()) for value in values])


def slope_at(site: Site, x: Tensor) -> Tensor:
    """The derivative of a site's nonlinearity at every value of x, flat."""
    with torch.enable_grad():
        x = x.detach().view(1, 1, -1).requires_grad_()
        return torch.autograd.grad(site.nonlinearity(x).sum(), x)[0].flatten()
