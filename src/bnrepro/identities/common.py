"""What the programs share: their random numbers, differences, and a normaliser whose epsilon is nothing."""

import torch
from torch import Tensor

from bnrepro.layers.batch_norm import BatchNorm

Numbers = dict[str, float | list[float]]  # a list: what was timed, a number for each repetition
EPS = 1e-5
NO_EPS = 1e-300  # PyTorch wants a positive one; in float64 this adds nothing to a variance


def generator(seed: int = 0) -> torch.Generator:
    """A stream of random numbers of the program's own."""
    return torch.Generator().manual_seed(seed)


def randn(rng: torch.Generator, *shape: int) -> Tensor:
    """Standard normal values in float64."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def randomised_norm(features: int, rng: torch.Generator, eps: float = EPS) -> BatchNorm:
    """A batch normaliser in float64 whose gamma is in [0.5, 1.5) and whose beta is standard normal."""
    norm = BatchNorm(features, eps=eps).double()
    norm.weight.data = 0.5 + torch.rand(features, generator=rng, dtype=torch.float64)
    norm.bias.data = randn(rng, features)
    return norm


def difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference of two tensors of one shape."""
    return (a - b).detach().abs().max().item()


def relative_difference(a: Tensor, b: Tensor) -> float:
    """`difference` over the largest absolute value of ``b``."""
    return difference(a, b) / b.detach().abs().max().item()
