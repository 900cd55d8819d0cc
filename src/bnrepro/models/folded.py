"""A network for evaluation only: normalisers folded into the convolutions before them (Alg. 2, line 11)."""

import copy

from torch import nn

from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.fold import fold
from bnrepro.models.convolution import ConvUnit
from bnrepro.models.placement import normalises
from bnrepro.models.trunk import Trunk


def folded(model: Trunk) -> Trunk:
    """A copy in evaluation mode that computes the same with fewer passes over memory.

    Every convolution takes in its normaliser's stored statistics. Per-activation normalisers stay: their map differs
    from position to position, which no convolution can express; so do normalisers after the nonlinearity, which no
    convolution before it can take in. ReLUs work in place. Auxiliary heads, which evaluation
    does not use, go.
    """
    model = copy.deepcopy(model).eval()
    model.heads = nn.ModuleDict()
    for unit in model.modules():
        if not isinstance(unit, ConvUnit):
            continue
        if isinstance(unit.nonlinearity, nn.ReLU):
            unit.nonlinearity.inplace = True
        norm = getattr(unit, "norm", None)
        one_a_channel = isinstance(norm, BatchNorm) and norm.num_features == unit.conv.out_channels
        if one_a_channel and normalises(unit, "before"):
            weight, bias = fold(unit.conv.weight, unit.conv.bias, norm)
            unit.conv.weight, unit.conv.bias = nn.Parameter(weight), nn.Parameter(bias)
            del unit.norm
    return model.requires_grad_(False)
