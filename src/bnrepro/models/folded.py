"""Normalisers folded into the weights before them, for evaluation (Alg. 2, line 11)."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models.convolution import ConvUnit
from bnrepro.models.placement import normalises
from bnrepro.models.trunk import Trunk


@torch.no_grad()
def fold(weight: Tensor, bias: Tensor | None, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return the weight and the bias (C,) that compute norm(W u + b) with the normaliser's stored statistics.

    W' = gamma / sqrt(Var + eps) * W and b' = beta + gamma / sqrt(Var + eps) * (b - E). The leading axes of the weight
    flatten to the C features of the normaliser: linear (C, in), convolution (C, in, kh, kw), stacked (S, out, in)
    with C = S * out. The bias has C values in any shape, or is None.
    """
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean if bias is None else bias.reshape(-1) - norm.running_mean
    shift = shift * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    rows = weight.reshape(norm.num_features, -1) * scale[:, None]
    return rows.reshape(weight.shape), shift


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
            weight, bias = fold(unit.conv.weight, unit.conv.bias, norm)
            unit.conv.weight, unit.conv.bias = nn.Parameter(weight), nn.Parameter(bias)
            del unit.norm
    return model.requires_grad_(False)
