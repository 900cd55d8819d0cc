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
    """Draw inputs u (m, 8), and weights W (4, 8) that give Wu a variance of about 1."""
    return randn(rng, m, INPUTS), randn(rng, OUTPUTS, INPUTS) / INPUTS**0.5


def outputs() -> Numbers:
    """Compare BN((aW)u) and BN(Wu), which are equal if a > 0 and eps = 0."""
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
    """Return dBN(Wu)/du, (m, outputs, m, inputs): BN makes each example depend on all others."""
    norm = batch_norm(OUTPUTS, eps)
    return torch.autograd.functional.jacobian(lambda inputs: norm(inputs @ w.T), u)


def jacobians() -> Numbers:
    """Compare dBN((aW)u)/du and dBN(Wu)/du, by differences relative to the largest entry."""
    u, w = _layer(generator(), m=12)
    expected = _jacobian(u, w)
    return {
        **{name: relative_error(_jacobian(u, a * w), expected) for name, a in SCALES.items()},
        "a_0_1_eps_1e_3": relative_error(_jacobian(u, 0.1 * w, LARGE_EPS), _jacobian(u, w, LARGE_EPS)),
    }


def norm_rise_error(w: Tensor, eps: float) -> float:
    """Return the largest relative error of rate^2 |gradient|^2 as the rise of |W|^2, over 100 steps of plain SGD.

    W (4, 8) is trained without L2, with cross-entropy over BN(Wu) on one batch with random labels.
    """
    rng, rate, errors = generator(1), 0.5, []
    u, labels = randn(rng, M, INPUTS), torch.randint(OUTPUTS, (M,), generator=rng)
    norm = batch_norm(OUTPUTS, eps)
    w = w.clone().requires_grad_()
    for _ in range(100):
        (gradient,) = torch.autograd.grad(F.cross_entropy(norm(u @ w.T), labels), w)
        before = w.detach().square().sum()
        w.data -= rate * gradient
        rise = w.detach().square().sum() - before
        errors.append((rise / (rate**2 * gradient.square().sum()) - 1).abs().item())
    return max(errors)


def weight_gradients() -> Numbers:
    """Compare dBN((aW)u)/d(aW) and (1/a) dBN(Wu)/dW, and measure the `norm_rise_error` that follows."""
    rng = generator()
    u, w = _layer(rng)
    dy, norm = randn(rng, M, OUTPUTS), batch_norm(OUTPUTS)

    def gradient(a: float) -> Tensor:
        weights = (a * w).requires_grad_()
        return torch.autograd.grad(norm(u @ weights.T), weights, dy)[0]

    expected = gradient(1.0)
    return {
        **{name: relative_error(a * gradient(a), expected) for name, a in SCALES.items()},
        "norm_rise_error": norm_rise_error(w, NO_EPS),
        "norm_rise_error_eps_1e_3": norm_rise_error(w, LARGE_EPS),
    }
