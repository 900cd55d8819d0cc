"""Normalisers folded into the weights before them, for evaluation (Alg. 2, line 11)."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models.convolution import ConvUnit
from bnrepro.models.placement import normalises
from bnrepro.models.trunk import Trunk


def folded(model: Trunk) -> Trunk:
    """Return a copy in evaluation mode that computes the same with fewer passes over memory.

    Every convolution takes in its normaliser's stored statistics. Two kinds of normalisers stay: per-activation ones,
    whose map differs from position to position, and those after the nonlinearity. ReLUs work in place. The auxiliary
    heads go, because evaluation does not use them.
    """
    model = copy.deepcopy(model).eval()
    model.heads = nn.ModuleDict()
    for unit in model.modules():
        if not isinstance(unit, ConvUnit):
            continue
        if isinstance(unit.nonlinearity, nn.ReLU):
            unit.nonlinearity.inplace = True
        norm = getattr(unit, "norm", None)
        one_per_channel = isinstance(norm, BatchNorm) and norm.num_features == unit.conv.out_channels
        if one_per_channel and normalises(unit, "before"):
            unit.conv = fuse_conv_bn_eval(unit.conv, norm)
            del unit.norm
    return model.requires_grad_(False)
