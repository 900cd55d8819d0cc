"""`torch.optim.SGD` with a faster step for its plainest case, L2 on weights alone, and no import of the compiler."""

import inspect
from typing import Any

import torch
from torch import nn

from bnrepro.models.stacked import StackedLinear


def spare_the_compiler() -> None:
    """Keep optimisers from importing torch's compiler, which would add over a second to the start of a run.

    PyTorch wraps four methods so that compiled programs leave them out. The wrapper imports the compiler to find the
    method that it is to call, unless that method is stored here. Nothing compiles an optimiser in this repository.
    """
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        method = inspect.unwrap(getattr(torch.optim.Optimizer, name))
        method.__dynamo_disable = method


def decayed(model: nn.Module, l2: float) -> list[dict[str, Any]]:
    """Return parameter groups with L2 (lambda/2 |w|^2) on the weights of layers, and not on biases or normalisers."""
    layers = (module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d | StackedLinear))
    weights = {id(layer.weight) for layer in layers} if l2 else set()
    groups = [
        {"params": [p for p in model.parameters() if id(p) in weights], "weight_decay": l2},
        {"params": [p for p in model.parameters() if id(p) not in weights], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class SGD(torch.optim.SGD):
    """Stochastic gradient descent whose step without momentum and weight decay is one fused p -= lr * grad.

    The result is the same to the bit. PyTorch's bookkeeping would take a twentieth of a step of the MNIST network.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step."""
        if closure is not None or any(g["momentum"] or g["weight_decay"] for g in self.param_groups):
            return super().step(closure)
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            torch._foreach_add_(params, [p.grad for p in params], alpha=-group["lr"])
        return None
