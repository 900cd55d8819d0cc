"""Made-up photographs for tests."""

import numpy as np
from PIL import Image

from bnrepro.config.seeding import numpy_rng


def photograph(seed: int, size: int = 64) -> np.ndarray:
    """Smooth random colours, (size, size, 3)."""
    coarse = numpy_rng(seed, "photograph").integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
