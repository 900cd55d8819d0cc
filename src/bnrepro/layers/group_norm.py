"""Group and layer normalisation: each example by the statistics of groups of its features, or of all of them.

Group normalisation is by Wu & He 2018 (arXiv:1803.08494), layer normalisation by Ba, Kiros & Hinton 2016 (1607.06450).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.errors import UserError
from bnrepro.layers.registry import register

FEWEST_VALUES = 4  # per group, our choice: a single value always becomes 0, and two become +-1


def divide(features: int, groups: int, positions: int = 1) -> int:
    """Return the largest divisor of ``features`` that is at most ``groups`` and leaves enough values in each group.

    A group needs `FEWEST_VALUES` values over all its features and positions. A single group may have fewer.
    """
    allowed = (g for g in range(min(groups, features), 1, -1) if features // g * positions >= FEWEST_VALUES)
    return next((g for g in allowed if features % g == 0), 1)


class GroupNorm(nn.Module):
    """Mean and biased variance of each example over each group of features, and over all positions of maps.

    It has no running statistics and does the same in training and in evaluation. Each feature has its own gamma and
    beta. ``stack`` is the number of networks whose features are concatenated; no group reaches over two of them.

    The default of 32 groups is the paper's and timm's. timm's layer raises an error where 32 does not divide the
    features. Here the number of groups falls to a divisor, such as 24 for 48 features (see `divide`).

    Args:
        num_features: C of activations (N, C) or (N, C, H, W), over all networks of a stack.
        groups: the largest number of groups in one network.
        positions: H * W; 1 for dense activations.
        eps: added to the variance, inside the square root.
        affine: learn gamma and beta.
    """

    def __init__(self, num_features: int, groups: int, positions: int = 1, eps: float = 1e-5, affine: bool = True):
        super().__init__()
        self.num_features, self.most_groups, self.positions, self.eps = num_features, groups, positions, eps
        self.stack = 1
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None

    @property
    def groups(self) -> int:
        """The number of groups of all networks together."""
        return self.stack * divide(self.num_features // self.stack, self.most_groups, self.positions)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, groups={self.groups}, eps={self.eps}, affine={self.weight is not None}"


@register("group_norm")
def _build(num_features, *, spatial, eps, ema_decay, affine, groups=32):
    if groups < 1:
        raise UserError(f"norm.groups={groups} must be at least 1")
    return GroupNorm(num_features, groups, math.prod(spatial), eps, affine)


@register("layer_norm")
def _build_layer_norm(num_features, *, spatial, eps, ema_decay, affine):
    """Layer normalisation is group normalisation with one group (Wu & He 2018, Sec. 3.1), over C, H and W of maps.

    Each feature has one gamma and one beta, so that they do not depend on the size of a map.
    """
    return GroupNorm(num_features, groups=1, eps=eps, affine=affine)
