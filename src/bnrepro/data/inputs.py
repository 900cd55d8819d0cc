"""What the MNIST network is fed: the binary images as they are, standardised, or whitened (paper Sec. 2 and 3)."""

from collections.abc import Callable

import torch
from torch import Tensor

FLOOR = 1e-2  # added to every variance: pixels at the edge hardly vary; our choice


def transform(kind: str, images: Tensor) -> Callable[[Tensor], Tensor]:
    """How to prepare images (M, pixels), with means and (co)variances of the training images; gives float32.

    ``standardised`` makes every pixel's mean 0 and variance v / (v + `FLOOR`); ``whitened`` also removes correlations,
    by (C + `FLOOR` I)^(-1/2) with C the covariance of pixels, which turns nothing that it need not (ZCA).
    """
    x = images.double()
    mean = x.mean(0)
    if kind == "standardised":
        scale = (x.var(0, unbiased=False) + FLOOR).rsqrt()
        return lambda images: ((images.double() - mean) * scale).float()
    centred = x - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(x))
    matrix = (directions * (variances.clamp(min=0) + FLOOR).rsqrt()) @ directions.T
    return lambda images: ((images.double() - mean) @ matrix).float()
