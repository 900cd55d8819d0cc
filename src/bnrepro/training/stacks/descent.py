"""Gradient descent with momentum for a stack: one pass over all values, and a rate for each network."""

import torch
from torch import Tensor, nn

from bnrepro.models.stacked_layers import Convolution, Product


class Descent:
    """`torch.optim.SGD` with momentum and with L2 on weights alone. Every network has its own rate and L2.

    The parameters of the model, a stack of networks, become views of one tensor.
    """

    def __init__(self, model: nn.Module, l2: list[float], momentum: float):
        self.parameters, self.momentum = dict(model.named_parameters()), momentum
        weights = {id(layer.weight) for layer in model.modules() if isinstance(layer, Convolution | Product)}
        parameters = list(self.parameters.values())
        strengths = torch.tensor(l2, dtype=parameters[0].dtype, device=parameters[0].device)
        networks = torch.arange(len(l2), dtype=torch.int32, device=parameters[0].device)
        # Flat tensors hold all values of all parameters: the number of the network that owns each value, and its L2.
        self.owner = torch.cat([networks.repeat_interleave(p[0].numel()) for p in parameters])
        self.l2 = torch.cat([(strengths * (id(p) in weights)).repeat_interleave(p[0].numel()) for p in parameters])
        self.values = torch.cat([p.detach().flatten() for p in parameters])
        self.velocity = torch.zeros_like(self.values)
        for parameter, values in zip(parameters, self._parts(self.values), strict=True):
            parameter.data = values

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """Views of a flat tensor in the shapes of the parameters."""
        sizes = [p.numel() for p in self.parameters.values()]
        return [part.view(p.shape) for part, p in zip(flat.split(sizes), self.parameters.values(), strict=True)]

    def step(self, loss: Tensor, rate: Tensor) -> None:
        """Descend the gradient of a loss, which is a sum over networks; ``rate`` is (S,)."""
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        flat.addcmul_(self.values, self.l2)
        self.velocity.mul_(self.momentum).add_(flat)
        self.values.addcmul_(self.velocity, rate.index_select(0, self.owner), value=-1)

    def velocities(self) -> dict[str, Tensor]:
        """The momentum buffers (S, ...) by parameter."""
        return dict(zip(self.parameters, self._parts(self.velocity), strict=True))
