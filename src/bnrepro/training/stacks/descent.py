"""Gradient descent with momentum for a stack: one pass over all values, and a rate for each network."""

import torch
from torch import Tensor, nn

from bnrepro.models.stacked_images import Convolution, Linear


class Descent:
    """`torch.optim.SGD` with momentum, L2 on weights alone; every network has its own rate and L2.

    Args:
        model: a stack of networks. Its parameters become views of one tensor.
        l2: of each network.
        momentum: of all.
    """

    def __init__(self, model: nn.Module, l2: list[float], momentum: float):
        self.parameters = dict(model.named_parameters())
        weights = {id(layer.weight) for layer in model.modules() if isinstance(layer, Convolution | Linear)}
        device = next(iter(self.parameters.values())).device
        numbers = torch.arange(len(l2), dtype=torch.int32, device=device)
        self.owner = torch.cat([numbers.repeat_interleave(p[0].numel()) for p in self.parameters.values()])
        strengths = torch.tensor(l2, dtype=next(iter(self.parameters.values())).dtype, device=device)
        own_l2 = {name: strengths * (id(p) in weights) for name, p in self.parameters.items()}
        self.l2 = torch.cat([own_l2[name].repeat_interleave(p[0].numel()) for name, p in self.parameters.items()])
        self.values = torch.cat([p.detach().flatten() for p in self.parameters.values()])
        self.velocity, self.momentum = torch.zeros_like(self.values), momentum
        for p, values in zip(self.parameters.values(), self._parts(self.values), strict=True):
            p.data = values

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """A tensor of all values in the shapes of the parameters."""
        sizes = [p.numel() for p in self.parameters.values()]
        return [part.view(p.shape) for part, p in zip(flat.split(sizes), self.parameters.values(), strict=True)]

    def step(self, loss: Tensor, rate: Tensor) -> None:
        """Descend the gradient of a loss, which is a sum over networks; ``rate`` (S,)."""
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        flat.addcmul_(self.values, self.l2)
        self.velocity.mul_(self.momentum).add_(flat)
        self.values.addcmul_(self.velocity, rate.index_select(0, self.owner), value=-1)

    def velocities(self) -> dict[str, Tensor]:
        """By parameter, (S, ...)."""
        return dict(zip(self.parameters, self._parts(self.velocity), strict=True))
