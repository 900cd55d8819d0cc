"""One unit that is trained while the gradient takes its normalisation for a constant (Sec. 2)."""

from collections.abc import Callable

import torch
from torch import Tensor

from bnrepro.identities.common import Numbers, generator, randn

STEPS, LOOKS = 1000, (250, 500, 750, 1000)
RATE = 0.1
Trajectory = tuple[list[float], list[float]]  # the parameter and the loss at each step


def _inputs() -> Tensor:
    """Return inputs u (60,) with mean 0 and variance 1."""
    u = randn(generator(), 60)
    u = u - u.mean()
    return u / u.square().mean().sqrt()


def _descend(start: float, loss_of: Callable[[Tensor], Tensor]) -> Trajectory:
    """Descend the gradient of one parameter, and record it from step 0 to `STEPS`."""
    parameter = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    values, losses = [], []
    for _ in range(STEPS + 1):
        loss = loss_of(parameter)
        (gradient,) = torch.autograd.grad(loss, parameter)
        values.append(parameter.item())
        losses.append(loss.item())
        parameter.data -= RATE * gradient
    return values, losses


def _relative_change(losses: list[float]) -> float:
    return (max(losses) - min(losses)) / losses[0]


def centre_only(differentiated: bool) -> Trajectory:
    """Learn b, from 0, in x_hat = x - E[x] with x = u + b.

    The loss is mean (x_hat - t)^2 / 2 with t = u + 1, which no b can lower. With ``differentiated`` the gradient
    passes through E[x].
    """
    u = _inputs()

    def loss(b: Tensor) -> Tensor:
        x = u + b
        mean = x.mean()
        return (x - (mean if differentiated else mean.detach()) - (u + 1)).square().mean() / 2

    return _descend(0.0, loss)


def bias_growth() -> Numbers:
    """Measure how the bias of `centre_only` grows without end while the loss stays the same."""
    biases, losses = centre_only(differentiated=False)
    differentiated, _ = centre_only(differentiated=True)
    return {
        **{f"bias_at_{step}": biases[step] for step in LOOKS},
        "linearity_error": max(abs(b / (step * biases[1]) - 1) for step, b in enumerate(biases) if step),
        "loss_relative_change": _relative_change(losses),
        "differentiated_bias": max(map(abs, differentiated)),
    }


def standardise(differentiated: bool) -> Trajectory:
    """Learn a, from 1, in x_hat = x / sqrt(Var[x]) with x = a u.

    The loss is mean (x_hat - 2u)^2 / 2, which no a can lower. With ``differentiated`` the gradient passes through
    Var[x].
    """
    u = _inputs()

    def loss(a: Tensor) -> Tensor:
        x = a * u
        std = x.square().mean().sqrt()
        return (x / (std if differentiated else std.detach()) - 2.0 * u).square().mean() / 2

    return _descend(1.0, loss)


def scale_growth() -> Numbers:
    """Measure how the scale of `standardise` grows while the loss stays the same."""
    scales, losses = standardise(differentiated=False)
    differentiated, _ = standardise(differentiated=True)
    return {
        **{f"scale_at_{step}": scales[step] for step in LOOKS},
        "loss_relative_change": _relative_change(losses),
        "differentiated_scale_change": max(abs(a - 1) for a in differentiated),
    }
