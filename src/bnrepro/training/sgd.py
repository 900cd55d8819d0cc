"""`torch.optim.SGD` with a shorter way through its plainest case, L2 where it belongs, and no wait for a compiler."""

import inspect
from typing import Any

import torch
from torch import nn

from bnrepro.models.stacked import StackedLinear


def spare_the_compiler() -> None:
    """Let the plainest `SGD` train without an import of torch's compiler, over a second of a run's start.

    Four methods of optimisers are wrapped so that compiled programs leave them out, and the wrapper imports the
    compiler the first time, unless it finds here what it would get from there. Nothing compiles an optimiser here.
    """
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        method = inspect.unwrap(getattr(torch.optim.Optimizer, name))
        method.__dynamo_disable = method


def decayed(model: nn.Module, l2: float) -> list[dict[str, Any]]:
    """Parameter groups with L2 (lambda/2 |w|^2) on weights alone: none on biases, nor on what a normaliser learns."""
    layers = (module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d | StackedLinear))
    weights = {id(layer.weight) for layer in layers}
    with_l2 = [parameter for parameter in model.parameters() if l2 and id(parameter) in weights]
    without = [parameter for parameter in model.parameters() if not l2 or id(parameter) not in weights]
    groups = [{"params": with_l2, "weight_decay": l2}, {"params": without, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


class SGD(torch.optim.SGD):
    """Stochastic gradient descent; without momentum and weight decay a step is one fused p -= lr * grad.

    The result is the same to the bit. What is saved is PyTorch's bookkeeping, a twentieth of a step of the MNIST net.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step."""
        plain = closure is None and all(g["momentum"] == g["weight_decay"] == 0 for g in self.param_groups)
        if not plain:
            return super().step(closure)
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            torch._foreach_add_(params, [p.grad for p in params], alpha=-group["lr"])
        return None
