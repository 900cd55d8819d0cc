"""Fold a normaliser's fixed affine map (Alg. 2, line 11) into the linear or convolutional weights before it."""

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def fold(weight: Tensor, bias: Tensor | None, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Weights and bias that compute norm(W u + b) with the normaliser's stored statistics.

    W' = gamma / sqrt(Var + eps) * W and b' = beta + gamma / sqrt(Var + eps) * (b - E).

    Args:
        weight: any shape whose leading axes flatten to the normaliser's C features: linear (C, in), convolution
            (C, in, kh, kw), stacked linear (S, out, in) with C = S * out.
        bias: C values in any shape, or None.
        norm: a batch normaliser with affine parameters or without.

    Returns:
        The new weight in its old shape, and the new bias of shape (C,).
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
