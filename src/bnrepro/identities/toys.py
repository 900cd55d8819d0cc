"""Training one layer while taking its normalisation for a constant (Sec. 2)."""

from collections.abc import Callable

import torch
from torch import Tensor

from bnrepro.identities.common import Numbers, generator, randn

STEPS, LOOKS = 1000, (250, 500, 750, 1000)
RATE = 0.1


def _standardised(m: int = 60) -> Tensor:
    u = randn(generator(), m)
    u = u - u.mean()
    return u / u.square().mean().sqrt()


def _relative_change(losses: list[float]) -> float:
    return (max(losses) - min(losses)) / losses[0]


def _descend(start: float, loss_of: Callable[[Tensor], Tensor]) -> tuple[list[float], list[float], list[float]]:
    """A parameter that learns by a loss, its gradient and the loss at steps 0 to `STEPS`."""
    parameter = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    values, gradients, losses = [], [], []
    for _ in range(STEPS + 1):
        loss = loss_of(parameter)
        (gradient,) = torch.autograd.grad(loss, parameter)
        values.append(parameter.item())
        gradients.append(gradient.item())
        losses.append(loss.item())
        parameter.data -= RATE * gradient
    return values, gradients, losses


def centre_only(differentiated: bool) -> tuple[list[float], list[float], list[float]]:
    """x = u + b and x_hat = x - E[x]; b learns by loss = mean (x_hat - t)^2 / 2 with t = x_hat + 1, out of its reach.

    b, its gradient and the loss at each step; b starts at 0. ``differentiated`` lets the gradient through E[x].
    """
    u = _standardised()

    def loss(b: Tensor) -> Tensor:
        x = u + b
        mean = x.mean() if differentiated else x.mean().detach()
        return (x - mean - (u + 1)).square().mean() / 2

    return _descend(0.0, loss)


def bias_growth() -> Numbers:
    """`centre_only` (Sec. 2).

    bias_at_*: b after so many steps, the gradient ignoring E[x]; it starts at 0. linearity_error: the largest relative
    deviation of b from steps times its first step. loss_relative_change: largest minus smallest loss over the first.
    differentiated_bias: the largest b with the gradient through E[x].
    """
    biases, _, losses = centre_only(differentiated=False)
    honest, _, _ = centre_only(differentiated=True)
    deviations = [abs(b / (step * biases[1]) - 1) for step, b in enumerate(biases) if step]
    return {
        **{f"bias_at_{step}": biases[step] for step in LOOKS},
        "linearity_error": max(deviations),
        "loss_relative_change": _relative_change(losses),
        "differentiated_bias": max(map(abs, honest)),
    }


def standardise(differentiated: bool, target: float) -> tuple[list[float], list[float], list[float]]:
    """x = a u and x_hat = x / sqrt(Var[x]); a learns by loss = mean (x_hat - target u)^2 / 2, where a changes nothing.

    a, its gradient and the loss at each step; a starts at 1. ``differentiated`` lets the gradient through Var[x]. The
    gradient that ignores Var[x] enlarges a for a ``target`` above 1, and shrinks it for one below.
    """
    u = _standardised()

    def loss(a: Tensor) -> Tensor:
        x = a * u
        std = x.square().mean().sqrt()
        return (x / (std if differentiated else std.detach()) - target * u).square().mean() / 2

    return _descend(1.0, loss)


def scale_growth() -> Numbers:
    """`standardise` (Sec. 2).

    scale_at_*: a after so many steps towards twice the output, the gradient ignoring Var[x]; it starts at 1.
    loss_relative_change: largest minus smallest loss over the first. differentiated_scale_change: the largest change of
    a with the gradient through Var[x]. shrunk_gradient_growth: largest gradient over the first if half the output is
    wanted: a shrinks, and the gradient is as 1 / a.
    """
    scales, _, losses = standardise(differentiated=False, target=2.0)
    honest, _, _ = standardise(differentiated=True, target=2.0)
    _, shrinking, _ = standardise(differentiated=False, target=0.5)
    return {
        **{f"scale_at_{step}": scales[step] for step in LOOKS},
        "loss_relative_change": _relative_change(losses),
        "differentiated_scale_change": max(abs(a - 1) for a in honest),
        "shrunk_gradient_growth": max(map(abs, shrinking)) / abs(shrinking[0]),
    }
