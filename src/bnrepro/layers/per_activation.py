"""Per-activation ("non-convolutional") batch normalisation, which some ensemble members of Sec. 4.2.3 use."""

import math

from torch import Tensor

from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.registry import register


class PerActivationBatchNorm(BatchNorm):
    """Own statistics, gamma and beta for each channel *and* position of (N, C, *spatial), so that m = N.

    For a dense layer ``spatial`` is empty, and it is `BatchNorm` itself.
    """

    def __init__(self, num_features: int, spatial: tuple[int, ...], **kwargs):
        super().__init__(num_features * math.prod(spatial), **kwargs)
        self.spatial = spatial

    def forward(self, x: Tensor) -> Tensor:
        if not self.spatial:
            return super().forward(x)
        if tuple(x.shape[2:]) != self.spatial:
            raise ValueError(f"built for maps of {self.spatial}, got {tuple(x.shape[2:])}")
        return super().forward(x.flatten(1)).view(x.shape)


@register("per_activation")
def _build(num_features, *, spatial, eps, ema_decay, affine):
    return PerActivationBatchNorm(num_features, spatial, eps=eps, momentum=1 - ema_decay, affine=affine)
