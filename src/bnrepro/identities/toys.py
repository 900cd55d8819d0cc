"""Training one layer while taking its normalisation for a constant (Sec. 2)."""

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


def centre_only(differentiated: bool) -> tuple[list[float], list[float]]:
    """x = u + b and x_hat = x - E[x]; b learns by loss = mean (x_hat - t)^2 / 2 with t = x_hat + 1, out of its reach.

    Args:
        differentiated: let the gradient through E[x].

    Returns:
        b and the loss at steps 0 to `STEPS`.
    """
    u = _standardised()
    b = torch.zeros((), dtype=torch.float64, requires_grad=True)
    biases, losses = [], []
    for _ in range(STEPS + 1):
        x = u + b
        mean = x.mean() if differentiated else x.mean().detach()
        loss = (x - mean - (u + 1)).square().mean() / 2
        biases.append(b.item())
        losses.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, b)
        b.data -= RATE * gradient
    return biases, losses


def bias_growth() -> Numbers:
    """`centre_only` (Sec. 2).

    bias_at_*: b after so many steps, the gradient ignoring E[x]; it starts at 0. linearity_error: the largest relative
    deviation of b from steps times its first step. loss_relative_change: largest minus smallest loss over the first.
    differentiated_bias: the largest b with the gradient through E[x].
    """
    biases, losses = centre_only(differentiated=False)
    honest, _ = centre_only(differentiated=True)
    deviations = [abs(b / (step * biases[1]) - 1) for step, b in enumerate(biases) if step]
    return {
        **{f"bias_at_{step}": biases[step] for step in LOOKS},
        "linearity_error": max(deviations),
        "loss_relative_change": _relative_change(losses),
        "differentiated_bias": max(map(abs, honest)),
    }


def standardise(differentiated: bool, target: float) -> tuple[list[float], list[float], list[float]]:
    """x = a u and x_hat = x / sqrt(Var[x]); a learns by loss = mean (x_hat - target u)^2 / 2, where a changes nothing.

    Args:
        differentiated: let the gradient through Var[x].
        target: above 1 the gradient that ignores Var[x] enlarges a, below 1 it shrinks it.

    Returns:
        a, its gradient and the loss at steps 0 to `STEPS`; a starts at 1.
    """
    u = _standardised()
    a = torch.ones((), dtype=torch.float64, requires_grad=True)
    scales, gradients, losses = [], [], []
    for _ in range(STEPS + 1):
        x = a * u
        std = x.square().mean().sqrt()
        loss = (x / (std if differentiated else std.detach()) - target * u).square().mean() / 2
        (gradient,) = torch.autograd.grad(loss, a)
        scales.append(a.item())
        gradients.append(gradient.item())
        losses.append(loss.item())
        a.data -= RATE * gradient
    return scales, gradients, losses


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
