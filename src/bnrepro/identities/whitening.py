"""Full whitening (Sec. 2 and 3): what it gives, where it breaks, and what it costs beside batch normalisation."""

import functools
import statistics
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bnrepro.identities.common import EPS, Numbers, generator, randn
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.timing import alternate, seconds

WIDTHS = (32, 64, 128, 256, 512)
REPETITIONS, PASSES = 10, 15  # of a timing, and in each of them
TIMED_EXAMPLES = 1024  # more than units, so that the covariance can be inverted


def covariance(x: Tensor) -> Tensor:
    """(units, units), biased, of x (m, units)."""
    centred = x - x.mean(0)
    return centred.T @ centred / x.shape[0]


def zca(x: Tensor, eps: float = 0.0) -> Tensor:
    """Cov[x]^(-1/2) (x - E[x]) for x of shape (m, units), through the eigenvectors; eps is added to the eigenvalues."""
    values, vectors = torch.linalg.eigh(covariance(x))
    return (x - x.mean(0)) @ (vectors * (values + eps).rsqrt()) @ vectors.T


def pca(x: Tensor) -> Tensor:
    """As `zca` in the basis of the eigenvectors, by ascending eigenvalue."""
    values, vectors = torch.linalg.eigh(covariance(x))
    return (x - x.mean(0)) @ (vectors * values.rsqrt())


def identity_errors() -> Numbers:
    """`zca` of 200 correlated examples of 20 units.

    mean: the largest absolute mean. covariance_error: the largest difference of the covariance and I.
    batch_norm_largest_correlation: the largest off-diagonal entry after BN, which leaves correlations.
    """
    rng = generator()
    x = 3 + randn(rng, 200, 20) @ randn(rng, 20, 20)
    y = zca(x)
    eye = torch.eye(20, dtype=torch.float64)
    after_norm = covariance(BatchNorm(20, affine=False).double()(x))
    return {
        "mean": y.mean(0).abs().max().item(),
        "covariance_error": (covariance(y) - eye).abs().max().item(),
        "batch_norm_largest_correlation": (after_norm * (1 - eye)).abs().max().item(),
    }


def rank() -> Numbers:
    """The covariance of m examples of 100 units: its rank less m - 1, the largest over m = 8, 32, 60."""
    rng = generator()
    ranks = {m: int(torch.linalg.matrix_rank(covariance(randn(rng, m, 100)), hermitian=True)) for m in (8, 32, 60)}
    return {"rank_less_m_minus_1": float(max((r - (m - 1) for m, r in ranks.items()), key=abs))}


def input_gradient(whiten: Callable[[Tensor], Tensor], gap: float) -> Tensor:
    """Gradient (16, 3) of a fixed smooth function of whitened values to x, whose covariance is diag(1 - gap, 1, 2).

    The columns of x are those of a Hadamard matrix, scaled: with gap 0 two eigenvalues are equal to the last bit.
    """
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    hadamard = functools.reduce(torch.kron, [pair] * 4)
    scales = torch.tensor([1 - gap, 1.0, 2.0], dtype=torch.float64).sqrt()
    x = (hadamard[:, 1:4] * scales).requires_grad_()
    y = whiten(x)
    (gradient,) = torch.autograd.grad((y**3 * randn(generator(), *y.shape)).sum(), x)
    return gradient


def differentiability() -> Numbers:
    """What the gradient through whitening is where two eigenvalues of the covariance meet.

    *_gradient_growth_gap_*: its norm with a gap of 1e-3 and 1e-6 between them over that with a gap of 0.5, of PCA and
    ZCA whitening. *_nonfinite_share: the share of its entries that are not finite with no gap; of ZCA only the way
    through the eigenvectors breaks there. singular_smallest_eigenvalue: of the covariance of 8 examples of 100 units,
    over the largest; whitening needs its inverse root.
    """
    numbers: Numbers = {}
    for name, whiten in (("pca", pca), ("zca", zca)):
        apart = input_gradient(whiten, 0.5).norm()
        for label, gap in (("1e_3", 1e-3), ("1e_6", 1e-6)):
            numbers[f"{name}_gradient_growth_gap_{label}"] = (input_gradient(whiten, gap).norm() / apart).item()
        numbers[f"{name}_nonfinite_share"] = 1 - input_gradient(whiten, 0.0).isfinite().double().mean().item()
    values = torch.linalg.eigvalsh(covariance(randn(generator(), 8, 100)))
    return numbers | {"singular_smallest_eigenvalue": (values[0].abs() / values[-1]).item()}


def time_ratios(
    widths: Sequence[int] = WIDTHS, repetitions: int = REPETITIONS, passes: int = PASSES
) -> dict[str, list[float]]:
    """time_ratio_*: forward and backward pass of `zca` over that of BN for so many units, 1,024 examples, float32.

    A number for each repetition: the median of its passes through one over the median of its passes through the other.
    The passes of all widths take turns.
    """
    rng = generator()
    work = {}
    for width in widths:
        x, dy = (randn(rng, TIMED_EXAMPLES, width).float() for _ in range(2))
        x.requires_grad_()
        norm = BatchNorm(width, eps=EPS, affine=False)
        for name, normalise in (("bn", norm), ("zca", functools.partial(zca, eps=EPS))):
            step = functools.partial(_training_step, normalise, x, dy)
            step()
            work[f"{name}_{width}"] = functools.partial(_seconds_a_step, step, repeats=20 if name == "bn" else 1)
    ratios: dict[str, list[float]] = {f"time_ratio_{width}": [] for width in widths}
    for _ in range(repetitions):
        seconds_a_step = {name: statistics.median(times) for name, times in alternate(work, passes).items()}
        for width in widths:
            ratios[f"time_ratio_{width}"].append(seconds_a_step[f"zca_{width}"] / seconds_a_step[f"bn_{width}"])
    return ratios


def _training_step(normalise: Callable[[Tensor], Tensor], x: Tensor, dy: Tensor) -> None:
    torch.autograd.grad(normalise(x), x, dy)


def _seconds_a_step(step: Callable[[], None], repeats: int) -> float:
    return seconds(lambda: [step() for _ in range(repeats)]) / repeats


def cost() -> Numbers:
    """`rank`, `differentiability` and `time_ratios`: what speaks against full whitening (Sec. 2 and 3)."""
    return rank() | differentiability() | time_ratios()


def whitening() -> Numbers:
    """`identity_errors`, and `time_ratios` of 512 units."""
    return identity_errors() | time_ratios((512,))
