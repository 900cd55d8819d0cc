"""What tests of normalisers share: random numbers in float64, an eps that adds nothing, gamma and beta that do."""

import pytest
import torch
from torch import nn

NO_EPS = 1e-300  # PyTorch wants a positive one; in float64 this adds nothing to a variance


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def randn(rng: torch.Generator, *shape: int) -> torch.Tensor:
    """Standard normal numbers of this shape, in float64."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def trained_a_little(norm: nn.Module, rng: torch.Generator) -> nn.Module:
    """In float64, and with gamma and beta that are not 1 and 0."""
    norm = norm.double()
    norm.weight.data, norm.bias.data = randn(rng, norm.num_features), randn(rng, norm.num_features)
    return norm
