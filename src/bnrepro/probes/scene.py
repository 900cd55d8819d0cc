"""What an instrument is shown: a network in training mode and the fixed mini-batches that it is looked at with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.probes.sites import Seen, Site, sites, watched

Quantities = dict[str, np.ndarray]  # (L,) by the name of the quantity, one value a site


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
    places: list[Site] = field(init=False)

    def __post_init__(self) -> None:
        self.places = sites(self.model)

    def first(self) -> tuple[dict[str, Seen], Tensor]:
        """What the first batch shows at each site, with its graph, and its loss."""
        with watched(self.places) as seen:
            loss = self.loss(*self.batches[0])
        return seen, loss

    def seen(self) -> dict[str, list[Seen]]:
        """What all batches show at each site."""
        found: dict[str, list[Seen]] = {site.name: [] for site in self.places}
        with torch.no_grad(), watched(self.places) as seen:
            for images, labels in self.batches:
                self.loss(images, labels)
                for name, one in seen.items():
                    found[name].append(one)
        return found


def each(values: Iterable[Tensor]) -> np.ndarray:
    """Scalars, one a site, as (L,)."""
    return np.array([float(value.detach()) for value in values])


def slope_at(site: Site, x: Tensor) -> Tensor:
    """The derivative of a site's nonlinearity at every value of x, flat."""
    with torch.enable_grad():
        x = x.detach().view(1, 1, -1).requires_grad_()
        return torch.autograd.grad(site.nonlinearity(x).sum(), x)[0].flatten()
