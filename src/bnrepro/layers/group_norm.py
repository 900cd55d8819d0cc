"""Group normalisation (Wu & He 2018, arXiv:1803.08494): each example by the statistics of its own features, in groups.

It has no running statistics and does the same in training and in evaluation.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.errors import UserError
from bnrepro.layers.registry import register

FEWEST_VALUES = 4  # in a group, our choice: one value normalises to 0 and two to +-1, whatever they were


def divide(features: int, groups: int, positions: int = 1) -> int:
    """How many groups there are: the largest divisor of ``features`` not above ``groups``, each of enough values.

    A group of features at so many positions has at least `FEWEST_VALUES` values, unless the layer itself has fewer.
    """
    allowed = (g for g in range(min(groups, features), 1, -1) if features // g * positions >= FEWEST_VALUES)
    return next((g for g in allowed if features % g == 0), 1)


class GroupNorm(nn.Module):
    """Mean and biased variance of each example over each group of features, and over all positions of maps.

    gamma and beta are one a feature, as the paper has them. Beside S networks side by side, whose features are
    concatenated, ``stack`` is S, and no group reaches over two networks.

    Args:
        num_features: C of activations (N, C) or (N, C, H, W); of a stack S * C.
        groups: how many are wanted; see `divide` for how many there are.
        positions: H * W; 1 for dense activations.
        eps: added to the variance, inside the square root.
        affine: learn gamma and beta.
    """

    def __init__(self, num_features: int, groups: int, positions: int = 1, eps: float = 1e-5, affine: bool = True):
        super().__init__()
        self.num_features, self.wanted, self.positions, self.eps = num_features, groups, positions, eps
        self.stack = 1
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None

    @property
    def groups(self) -> int:
        """The number of groups, those of all networks of a stack together."""
        return self.stack * divide(self.num_features // self.stack, self.wanted, self.positions)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, groups={self.groups}, eps={self.eps}, affine={self.weight is not None}"


@register("group_norm")
def _build(num_features, *, spatial, eps, ema_decay, affine, groups=32):
    if groups < 1:
        raise UserError(f"norm.groups={groups} must be at least 1")
    return GroupNorm(num_features, groups, math.prod(spatial), eps, affine)
