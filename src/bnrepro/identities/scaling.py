"""BN((aW)u) against BN(Wu): outputs, Jacobians, gradients, and how the norm of W grows (Sec. 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.identities.common import (
    LARGE_EPS,
    NO_EPS,
    Numbers,
    batch_norm,
    difference,
    generator,
    randn,
    relative_error,
)

SCALES = {"a_0_1": 0.1, "a_4": 4.0, "a_100": 100.0}  # the name of each number, and a
M, INPUTS, OUTPUTS = 60, 8, 4


def _layer(rng: torch.Generator, m: int = M) -> tuple[Tensor, Tensor]:
    """Inputs u (m, 8), and weights W (4, 8) that give Wu a variance of about 1."""
    return randn(rng, m, INPUTS), randn(rng, OUTPUTS, INPUTS) / INPUTS**0.5


def outputs() -> Numbers:
    """BN((aW)u) = BN(Wu), which needs a > 0 and eps = 0."""
    u, w = _layer(generator())
    norm, with_eps = batch_norm(OUTPUTS), batch_norm(OUTPUTS, LARGE_EPS)
    y, negative = norm(u @ w.T), norm(u @ -w.T)
    return {
        **{name: difference(norm(u @ (a * w).T), y) for name, a in SCALES.items()},
        "negative_a_flip_error": difference(negative, -y),
        "negative_a_difference": difference(negative, y),
        "a_0_1_eps_1e_3_relative": relative_error(with_eps(u @ (0.1 * w).T), with_eps(u @ w.T)),
    }


def _jacobian(u: Tensor, w: Tensor, eps: float = NO_EPS) -> Tensor:
    """dBN(Wu)/du, (m, outputs, m, inputs): BN makes each example depend on all others."""
    norm = batch_norm(OUTPUTS, eps)
    return torch.autograd.functional.jacobian(lambda inputs: norm(inputs @ w.T), u)


def jacobians() -> Numbers:
    """dBN((aW)u)/du = dBN(Wu)/du, as differences relative to the largest entry."""
    u, w = _layer(generator(), m=12)
    expected = _jacobian(u, w)
    return {
        **{name: relative_error(_jacobian(u, a * w), expected) for name, a in SCALES.items()},
        "negative_a_flip_error": relative_error(_jacobian(u, -w), -expected),
        "a_0_1_eps_1e_3": relative_error(_jacobian(u, 0.1 * w, LARGE_EPS), _jacobian(u, w, LARGE_EPS)),
        "without_norm_a_4": relative_error(4 * w, w),  # the Jacobian of Wu itself; a - 1 = 3
    }


def descent(w: Tensor, rate: float, eps: float, steps: int = 100) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Train W by plain SGD without L2, with cross-entropy over BN(Wu) on one batch with random labels.

    Args:
        w: the first weights, (4, 8).
        rate: the learning rate.
        eps: BN's epsilon.
        steps: the number of steps.

    Returns:
        |W|^2 before the first step and after each step, (steps + 1,); |gradient|^2 at each step, (steps,); BN(Wu) at
        each step, (60, 4).
    """
    rng = generator(1)
    u, labels = randn(rng, M, INPUTS), torch.randint(OUTPUTS, (M,), generator=rng)
    norm = batch_norm(OUTPUTS, eps)
    w = w.clone().requires_grad_()
    lengths, gradients, outputs = [w.detach().square().sum()], [], []
    for _ in range(steps):
        y = norm(u @ w.T)
        (gradient,) = torch.autograd.grad(F.cross_entropy(y, labels), w)
        w.data -= rate * gradient
        lengths.append(w.detach().square().sum())
        gradients.append(gradient.square().sum())
        outputs.append(y.detach())
    return torch.stack(lengths), torch.stack(gradients), outputs


def _rises(w: Tensor, rate: float, eps: float) -> tuple[Tensor, Tensor]:
    """The rise of |W|^2 at each step, and its relative deviation from rate^2 |gradient|^2."""
    lengths, gradients, _ = descent(w, rate, eps)
    rises = lengths.diff()
    return rises, (rises / (rate**2 * gradients) - 1).abs()


def weight_gradients() -> Numbers:
    """dBN((aW)u)/d(aW) = (1/a) dBN(Wu)/dW, and what follows for |W| in 100 steps of plain SGD."""
    rng = generator()
    u, w = _layer(rng)
    dy, norm, rate = randn(rng, M, OUTPUTS), batch_norm(OUTPUTS), 0.5

    def gradient(a: float) -> Tensor:
        weights = (a * w).requires_grad_()
        return torch.autograd.grad(norm(u @ weights.T), weights, dy)[0]

    expected = gradient(1.0)
    rises, errors = _rises(w, rate, NO_EPS)
    _, errors_with_eps = _rises(w, rate, LARGE_EPS)
    normalised, rescaled = (descent(a * w, a**2 * rate, NO_EPS)[2] for a in (1, 10))
    return {
        **{name: relative_error(a * gradient(a), expected) for name, a in SCALES.items()},
        "norm_rise_error": errors.max().item(),
        "smallest_norm_rise": rises.min().item(),
        "norm_growth": (1 + rises.sum() / w.square().sum()).item(),  # |W|^2 at the end over |W|^2 at the beginning
        "norm_rise_error_eps_1e_3": errors_with_eps.max().item(),
        "rescaled_run_difference": max(map(difference, rescaled, normalised)),  # 10 times the weights, 100 the rate
    }
