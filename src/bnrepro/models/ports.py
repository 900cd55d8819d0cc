"""Weights from elsewhere: those of the known port of Caffe's BN-Inception, and for another number of image channels."""

import torch
from torch import Tensor

from bnrepro.models.trunk import Trunk

# The options with which ``timm.create_model("bn_inception")`` computes what the port does, and timm's values for pixels
# in RGB from 0 to 1.
BNINCEPTION = {"separable": False, "projection_4cd": 128, "pool_padding": "caffe", "norm_eps": 1e-5}
BNINCEPTION_PIXELS = {"mean": (128 / 255, 117 / 255, 104 / 255), "std": (1 / 255,) * 3, "interpolation": "bilinear"}

STEM = {"conv1_7x7_s2": "stem.conv1", "conv2_3x3_reduce": "stem.conv2_reduce", "conv2_3x3": "stem.conv2"}
BRANCHES = {
    "1x1": "one",
    "3x3_reduce": "three_reduce",
    "3x3": "three",
    "double_3x3_reduce": "double_reduce",
    "double_3x3_1": "double1",
    "double_3x3_2": "double2",
    "pool_proj": "projection",
}


def _unit(layer: str) -> str:
    """Return our name of the port's convolution: ``inception_3a_3x3`` is ``rows.3a.three``."""
    if layer in STEM:
        return STEM[layer]
    row, branch = layer.removeprefix("inception_").split("_", 1)
    return f"rows.{row}.{BRANCHES[branch]}"


def from_bninception(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert the state of Cadene's ``bninception``, which has Caffe's weights, to a state for `BNINCEPTION`.

    The port has a bias before each normaliser, which is subtracted from the running mean here. It reads BGR from 0 to
    255 less a mean. Here the channels of the first convolution are reversed for RGB, and `BNINCEPTION_PIXELS` has the
    mean.
    """
    converted = {}
    for name, tensor in state.items():
        layer, kind = name.rsplit(".", 1)
        if layer == "last_linear":
            converted[f"classifier.{kind}"] = tensor
        elif layer.endswith("_bn"):
            convolution = layer.removesuffix("_bn")
            bias = state[f"{convolution}.bias"] if kind == "running_mean" else 0
            converted[f"{_unit(convolution)}.norm.{kind}"] = tensor - bias
        elif kind == "weight":
            converted[f"{_unit(layer)}.conv.weight"] = tensor.flip(1) if layer == "conv1_7x7_s2" else tensor
    return converted


def fit_image_channels(state: dict[str, Tensor], model: Trunk) -> dict[str, Tensor]:
    """Convert pretrained weights of a separable first convolution to the network's number of image channels.

    It does what timm does to full convolutions. One channel gets the sum over the image's channels, approximated as
    well as the few filters allow. More channels take the image's channels in turn, scaled to the same sum.
    """
    depthwise, pointwise = "stem.conv1.depthwise.weight", "stem.conv1.conv.weight"
    first, channels = model.stem.conv1, model.in_chans
    if depthwise not in state or not hasattr(first, "depthwise"):
        return state
    multiplier = first.depthwise.out_channels // channels
    filters = state[depthwise].unflatten(0, (-1, multiplier))  # (image channels, multiplier, 1, 7, 7)
    weights = state[pointwise].unflatten(1, (-1, multiplier))  # (out, image channels, multiplier, 1, 1)
    stored = len(filters)
    if stored == channels:
        return state
    if channels == 1:
        kernels = state[pointwise].flatten(1).double() @ state[depthwise].flatten(1).double()  # (out, 49)
        u, s, v = torch.linalg.svd(kernels, full_matrices=False)
        root = s[:multiplier].sqrt()
        filters, weights = root[:, None] * v[:multiplier], u[:, :multiplier] * root
    else:
        turns = [i % stored for i in range(channels)]
        filters, weights = filters[turns], weights[:, turns] * (stored / channels)
    return state | {
        depthwise: filters.to(state[depthwise].dtype).reshape(first.depthwise.weight.shape),
        pointwise: weights.to(state[pointwise].dtype).reshape(first.conv.weight.shape),
    }
