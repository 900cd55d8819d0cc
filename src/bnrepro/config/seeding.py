"""Random streams that are functions of what they are for, so that nothing has to be remembered to resume them."""

import zlib

import numpy as np
import torch
from torch import nn


def numpy_rng(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """The stream of one seed for one purpose (``"order"``, say) and counters (the epoch, say)."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *counters])


def torch_seed(seed: int, purpose: str, *counters: int) -> int:
    """What to seed torch with for the same stream."""
    return int(numpy_rng(seed, purpose, *counters).integers(2**63))


def torch_rng(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """As `numpy_rng`, for torch on the CPU."""
    return torch.Generator().manual_seed(torch_seed(seed, purpose, *counters))


def draws(model: nn.Module) -> bool:
    """Whether a network has a normaliser that draws random numbers in training mode, from torch's global stream.

    A normaliser says so by an attribute ``random``. Dropout does not count: it is no normaliser.
    """
    return any(getattr(module, "random", False) for module in model.modules())


def seed_population() -> None:
    """Fix what normalisers draw while population statistics are taken: the same always, as the mini-batches are."""
    torch.manual_seed(torch_seed(0, "population noise"))
