"""BN((aW)u) against BN(Wu): outputs, Jacobians, gradients, and what they make of the norm of W (Sec. 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.identities.common import NO_EPS, Numbers, difference, generator, randn, relative_difference
from bnrepro.layers.batch_norm import BatchNorm

SCALES = {"a_0_1": 0.1, "a_4": 4.0, "a_100": 100.0}
LARGE_EPS = 1e-3
M, INPUTS, OUTPUTS = 60, 8, 4


def _layer(rng: torch.Generator, m: int = M) -> tuple[Tensor, Tensor]:
    """Inputs (m, 8) and weights (4, 8) such that the variance of Wu is about 1."""
    return randn(rng, m, INPUTS), randn(rng, OUTPUTS, INPUTS) / INPUTS**0.5


def _norm(eps: float = NO_EPS) -> BatchNorm:
    return BatchNorm(OUTPUTS, eps=eps, affine=False).double()


def outputs() -> Numbers:
    """BN((aW)u) = BN(Wu), which needs a > 0 and eps = 0.

    a_*: largest difference for a = 0.1, 4 and 100 at eps = 0. negative_a_flip_error: of BN((-W)u) and -BN(Wu).
    negative_a_difference: of BN((-W)u) and BN(Wu). a_0_1_eps_1e_3_relative: of the outputs at eps = 1e-3, a = 0.1, over
    their largest value.
    """
    u, w = _layer(generator())
    norm, with_eps = _norm(), _norm(LARGE_EPS)
    y = norm(u @ w.T)
    negative = norm(u @ -w.T)
    return {
        **{name: difference(norm(u @ (a * w).T), y) for name, a in SCALES.items()},
        "negative_a_flip_error": difference(negative, -y),
        "negative_a_difference": difference(negative, y),
        "a_0_1_eps_1e_3_relative": relative_difference(with_eps(u @ (0.1 * w).T), with_eps(u @ w.T)),
    }


def _jacobian(u: Tensor, w: Tensor, eps: float = NO_EPS) -> Tensor:
    """(m, outputs, m, inputs): the normaliser ties the examples together."""
    norm = _norm(eps)
    return torch.autograd.functional.jacobian(lambda inputs: norm(inputs @ w.T), u)


def jacobians() -> Numbers:
    """dBN((aW)u)/du = dBN(Wu)/du.

    a_*: largest difference of the Jacobians for a = 0.1, 4 and 100 at eps = 0, over the largest entry.
    negative_a_flip_error: the same of those for -W and minus those for W. a_0_1_eps_1e_3: at eps = 1e-3, a = 0.1.
    without_norm_a_4: for Wu itself, where it is a - 1 = 3.
    """
    u, w = _layer(generator(), m=12)
    expected = _jacobian(u, w)
    return {
        **{name: relative_difference(_jacobian(u, a * w), expected) for name, a in SCALES.items()},
        "negative_a_flip_error": relative_difference(_jacobian(u, -w), -expected),
        "a_0_1_eps_1e_3": relative_difference(_jacobian(u, 0.1 * w, LARGE_EPS), _jacobian(u, w, LARGE_EPS)),
        "without_norm_a_4": relative_difference(4 * w, w),
    }


def descent(w: Tensor, rate: float, eps: float, steps: int = 100) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Plain SGD without L2 on cross-entropy over BN(Wu), on one batch with random labels.

    Args:
        w: the first weights, (4, 8).
        rate: learning rate.
        eps: of BN.
        steps: how many.

    Returns:
        |W|^2 before each step and after the last, (steps + 1,); |gradient|^2 of each step, (steps,); BN(Wu) at each.
    """
    rng = generator(1)
    u, labels = randn(rng, M, INPUTS), torch.randint(OUTPUTS, (M,), generator=rng)
    norm = _norm(eps)
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


def _rise_errors(w: Tensor, rate: float, eps: float) -> tuple[Tensor, Tensor]:
    """The rise of |W|^2 at each step, and its relative deviation from rate^2 |gradient|^2."""
    lengths, gradients, _ = descent(w, rate, eps)
    rises, expected = lengths.diff(), rate**2 * gradients
    return rises, (rises / expected - 1).abs()


def weight_gradients() -> Numbers:
    """dBN((aW)u)/d(aW) = (1/a) dBN(Wu)/dW, and what follows for |W| under plain SGD.

    a_*: largest difference of a times the gradient and that for a = 1, over its largest entry, at eps = 0.
    norm_rise_error: over 100 steps the largest relative deviation of the rise of |W|^2 from rate^2 |gradient|^2.
    smallest_norm_rise: the smallest of these rises. norm_growth: |W|^2 after them over that before.
    norm_rise_error_eps_1e_3: the first at eps = 1e-3. rescaled_run_difference: of the outputs of two runs, one of which
    has 10 times the weights and 100 times the rate.
    """
    rng = generator()
    u, w = _layer(rng)
    dy, norm, rate = randn(rng, M, OUTPUTS), _norm(), 0.5

    def gradient(a: float) -> Tensor:
        weights = (a * w).requires_grad_()
        return torch.autograd.grad(norm(u @ weights.T), weights, dy)[0]

    expected = gradient(1.0)
    rises, errors = _rise_errors(w, rate, NO_EPS)
    _, errors_with_eps = _rise_errors(w, rate, LARGE_EPS)
    normalised, rescaled = (descent(a * w, a**2 * rate, NO_EPS)[2] for a in (1, 10))
    return {
        **{name: relative_difference(a * gradient(a), expected) for name, a in SCALES.items()},
        "norm_rise_error": errors.max().item(),
        "smallest_norm_rise": rises.min().item(),
        "norm_growth": (1 + rises.sum() / w.square().sum()).item(),
        "norm_rise_error_eps_1e_3": errors_with_eps.max().item(),
        "rescaled_run_difference": max(map(difference, rescaled, normalised)),
    }
