"""Random numbers, differences and normalisers in float64, which all programs share."""

import torch
from torch import Tensor

from bnrepro.layers.batch_norm import BatchNorm

Numbers = dict[str, float | list[float]]  # the list holds a ratio of times for each repetition
EPS = 1e-5
LARGE_EPS = 1e-3
NO_EPS = 1e-300  # PyTorch needs a positive epsilon; in float64 this one changes no variance


def generator(seed: int = 0) -> torch.Generator:
    """Return a stream of random numbers that only one program uses."""
    return torch.Generator().manual_seed(seed)


def randn(rng: torch.Generator, *shape: int) -> Tensor:
    """Draw standard normal values in float64."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def batch_norm(features: int, eps: float = NO_EPS, affine: bool = False) -> BatchNorm:
    """Make a batch normaliser in float64."""
    return BatchNorm(features, eps=eps, affine=affine).double()


def difference(a: Tensor, b: Tensor) -> float:
    """Return the largest absolute difference of two tensors of the same shape."""
    return (a - b).detach().abs().max().item()


def relative_error(a: Tensor, b: Tensor) -> float:
    """Return `difference` divided by the largest absolute value of ``b``."""
    return difference(a, b) / b.detach().abs().max().item()
