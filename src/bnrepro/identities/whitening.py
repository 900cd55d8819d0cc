"""Full whitening (Sec. 2 and 3): its result, where its gradient breaks, and its cost beside batch normalisation."""

import functools
import statistics
import timeit
from collections.abc import Callable

import torch
from torch import Tensor

from bnrepro.identities.common import EPS, Numbers, batch_norm, generator, randn
from bnrepro.identities.timing import alternate
from bnrepro.layers.batch_norm import BatchNorm

WIDTH = 512  # the units of the timed layers
REPETITIONS, PASSES = 10, 15  # repetitions of each timing, and passes in each repetition
TIMED_EXAMPLES = 1024  # more than units, so that the covariance has an inverse


def covariance(x: Tensor) -> Tensor:
    """Return the biased covariance (units, units) of x (m, units)."""
    centred = x - x.mean(0)
    return centred.T @ centred / x.shape[0]


def zca(x: Tensor, eps: float = 0.0) -> Tensor:
    """Return Cov[x]^(-1/2) (x - E[x]) for x (m, units), by eigenvectors; eps is added to the eigenvalues."""
    values, vectors = torch.linalg.eigh(covariance(x))
    return (x - x.mean(0)) @ (vectors * (values + eps).rsqrt()) @ vectors.T


def pca(x: Tensor) -> Tensor:
    """Return `zca` in the basis of the eigenvectors, by ascending eigenvalue."""
    values, vectors = torch.linalg.eigh(covariance(x))
    return (x - x.mean(0)) @ (vectors * values.rsqrt())


def identity_errors() -> Numbers:
    """Measure `zca` of 200 correlated examples of 20 units, and the correlations that BN leaves."""
    rng = generator()
    x = 3 + randn(rng, 200, 20) @ randn(rng, 20, 20)
    y = zca(x)
    eye = torch.eye(20, dtype=torch.float64)
    after_norm = covariance(batch_norm(20, EPS)(x))
    return {
        "mean": y.mean(0).abs().max().item(),
        "covariance_error": (covariance(y) - eye).abs().max().item(),
        "batch_norm_largest_correlation": (after_norm * (1 - eye)).abs().max().item(),
    }


def rank() -> Numbers:
    """Return the rank of the covariance of m examples of 100 units, minus m - 1; the largest of m = 8, 32, 60."""
    rng = generator()
    ranks = {m: int(torch.linalg.matrix_rank(covariance(randn(rng, m, 100)), hermitian=True)) for m in (8, 32, 60)}
    return {"rank_less_m_minus_1": float(max((r - (m - 1) for m, r in ranks.items()), key=abs))}


def input_gradient(whiten: Callable[[Tensor], Tensor], gap: float) -> Tensor:
    """Return the gradient (16, 3) to x of a smooth function of whitened x with Cov[x] = diag(1 - gap, 1, 2).

    The columns of x are scaled columns of a Hadamard matrix: with gap 0 two eigenvalues are equal to the last bit.
    """
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    hadamard = functools.reduce(torch.kron, [pair] * 4)
    scales = torch.tensor([1 - gap, 1.0, 2.0], dtype=torch.float64).sqrt()
    x = (hadamard[:, 1:4] * scales).requires_grad_()
    y = whiten(x)
    (gradient,) = torch.autograd.grad((y**3 * randn(generator(), *y.shape)).sum(), x)
    return gradient


def differentiability() -> Numbers:
    """Measure the gradient through whitening where two eigenvalues of the covariance meet.

    ``*_gradient_growth_gap_*`` is its norm at a gap of 1e-3 or 1e-6 between the eigenvalues, divided by that at a gap
    of 0.5. ``*_nonfinite_share`` is the share of its entries that are not finite without a gap. As a function ZCA
    whitening is smooth there; only the way through the eigenvectors breaks.
    """
    numbers: Numbers = {}
    for name, whiten in (("pca", pca), ("zca", zca)):
        apart = input_gradient(whiten, 0.5).norm()
        for label, gap in (("1e_3", 1e-3), ("1e_6", 1e-6)):
            numbers[f"{name}_gradient_growth_gap_{label}"] = (input_gradient(whiten, gap).norm() / apart).item()
        numbers[f"{name}_nonfinite_share"] = 1 - input_gradient(whiten, 0.0).isfinite().double().mean().item()
    return numbers


def time_ratio() -> Numbers:
    """Return the time of passes forward and back through `zca` over that through BN, for each repetition.

    The times are medians over the passes, in which the two take turns. Inputs are 1,024 examples in float32.
    """
    rng = generator()
    x, dy = (randn(rng, TIMED_EXAMPLES, WIDTH).float() for _ in range(2))
    x.requires_grad_()

    def measure(normalise: Callable[[Tensor], Tensor], repeats: int) -> Callable[[], float]:
        """Time one step, as the mean of so many; the first step, which is not timed, warms up."""
        step = timeit.Timer(lambda: torch.autograd.grad(normalise(x), x, dy))
        step.timeit(1)
        return lambda: step.timeit(repeats) / repeats

    work = {
        "bn": measure(BatchNorm(WIDTH, eps=EPS, affine=False), 20),
        "zca": measure(functools.partial(zca, eps=EPS), 1),
    }
    ratios = []
    for _ in range(REPETITIONS):
        medians = {name: statistics.median(times) for name, times in alternate(work, PASSES).items()}
        ratios.append(medians["zca"] / medians["bn"])
    return {f"time_ratio_{WIDTH}": ratios}


def cost() -> Numbers:
    """Measure the reasons against full whitening: `rank`, `differentiability`, `time_ratio` (Sec. 2 and 3)."""
    return rank() | differentiability() | time_ratio()


def whitening() -> Numbers:
    """Measure `identity_errors` and `time_ratio`."""
    return identity_errors() | time_ratio()
