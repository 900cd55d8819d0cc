"""What an instrument is shown: a network in training mode and the fixed mini-batches that it is looked at with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.probes.sites import Activations, Site, sites, watched

Quantities = dict[str, np.ndarray]  # (L,) by the name of the quantity, one value per site


@dataclass
class Scene:
    """A network and the fixed training mini-batches that it is looked at with.

    Args:
        model: in training mode.
        loss: images and labels to a loss of each network, as training computes it.
        predict: images to logits.
        batches: images and labels, the same at every look.
        rate: the learning rate at this step.
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
        """The first batch's activations by the site's name, with their graph, and its loss."""
        with watched(self.sites) as activations:
            loss = self.loss(*self.batches[0])
        return activations, loss

    def activations(self) -> dict[str, list[Activations]]:
        """Each site's activations by its name, one element per batch."""
        by_site: dict[str, list[Activations]] = {site.name: [] for site in self.sites}
        with torch.no_grad(), watched(self.sites) as of_batch:
            for images, labels in self.batches:
                self.loss(images, labels)
                for name, activations in of_batch.items():
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
