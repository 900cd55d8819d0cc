"""Layer normalisation (Ba, Kiros & Hinton 2016, arXiv:1607.06450): each example by the statistics of all its features.

It is group normalisation with one group (Wu & He 2018, Sec. 3.1).
"""

from bnrepro.layers.group_norm import GroupNorm
from bnrepro.layers.registry import register


class LayerNorm(GroupNorm):
    """Mean and biased variance of each example over C, or over C, H and W of maps (Eq. 3).

    Each feature has one gamma and one beta, so that they do not depend on the size of a map.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = True):
        super().__init__(num_features, groups=1, eps=eps, affine=affine)


@register("layer_norm")
def _build(num_features, *, spatial, eps, ema_decay, affine):
    return LayerNorm(num_features, eps, affine)
