"""Random streams as functions of seed, purpose and counters, so that a resumed run needs no stored state."""

import zlib

import numpy as np
import torch
from torch import nn


def numpy_rng(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """Return the stream of one seed for one purpose, such as ``"order"``, and counters, such as the epoch."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *counters])


def torch_seed(seed: int, purpose: str, *counters: int) -> int:
    """Return the seed of the same stream for torch."""
    return int(numpy_rng(seed, purpose, *counters).integers(2**63))


def torch_rng(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """Return the same stream as a torch generator on the CPU."""
    return torch.Generator().manual_seed(torch_seed(seed, purpose, *counters))


def draws(model: nn.Module) -> bool:
    """Return whether a network has a normaliser that draws random numbers from torch's global stream in training mode.

    Such a normaliser has a true attribute ``random``. Dropout does not count.
    """
    return any(getattr(module, "random", False) for module in model.modules())


def seed_population() -> None:
    """Seed what normalisers draw while population statistics are taken, so that it is the same each time."""
    torch.manual_seed(torch_seed(0, "population noise"))
