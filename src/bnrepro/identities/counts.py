"""Parameters and multiply-adds, counted on networks without memory (Sec. 5 and the appendix)."""

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bnrepro.identities.common import Numbers
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models.googlenet import GoogLeNet
from bnrepro.models.inception import Inception
from bnrepro.models.mlp import MLP
from bnrepro.models.trunk import Trunk
from bnrepro.training.population import batch_norms

LAYERS = (nn.Conv2d, nn.Linear)
CONV1 = "Inception.stem.conv1"


def parameters(model: nn.Module) -> int:
    """Count all parameters."""
    return sum(p.numel() for p in model.parameters())


def weights(model: nn.Module) -> int:
    """Count the weights of convolutions and linear layers, without biases."""
    return sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, LAYERS))


def _build(network: type[Trunk], norm: str, **options: Any) -> Trunk:
    with torch.device("meta"):
        return network(norm_layer=partial(build_norm, norm), **{"lrn": False} | options)


def _image() -> torch.Tensor:
    return torch.empty(1, 3, 224, 224, device="meta")


def multiply_adds(model: Trunk) -> dict[str, int]:
    """Count the multiply-adds of each module for one image of 224 px, by the name of the module.

    Names begin with the class of the network; the class alone is the whole network.
    """
    with FlopCounterMode(display=False) as counter:
        model.eval()(_image())
    return {name: sum(flops.values()) // 2 for name, flops in counter.get_flop_counts().items()}


def convolution_outputs(conv1: nn.Module) -> int:
    """Count the values that the convolutions of a network's first unit compute for one image of 224 px."""
    counts: list[int] = []
    for layer in conv1.modules():
        if isinstance(layer, LAYERS):
            layer.register_forward_hook(lambda *call: counts.append(call[-1].numel()))
    conv1(_image())
    return sum(counts)


def extra_parameters() -> Numbers:
    """Count gamma and beta of each map of Inception, and of each activation of Sec. 4.1's network (Sec. 5)."""
    model, plain = _build(Inception, "bn"), _build(Inception, "none")
    dense = MLP((784, 100, 100, 100, 10), BatchNorm)
    extra, dense_extra = (sum(map(parameters, batch_norms(network))) for network in (model, dense))
    maps = sum(norm.num_features for norm in batch_norms(model))
    return {
        "extra": float(extra),
        "extra_per_map": extra / maps,
        "share": extra / parameters(model),
        "net_per_map": (parameters(model) - parameters(plain)) / maps,  # the network without BN has biases
        "mlp_extra_per_activation": dense_extra / sum(layer.linear.weight.shape[1] for layer in dense.hidden),
    }


def appendix() -> Numbers:
    """Compare BN-Inception (Fig. 5) and GoogLeNet (Table 1), with the separable first convolution, at 224 px.

    ``*_increase`` is relative to GoogLeNet, ``separable_*_ratio`` to BN-Inception with a full first convolution.
    """
    inception, googlenet = _build(Inception, "none"), _build(GoogLeNet, "none")
    full = _build(Inception, "none", separable=False)
    work, full_work = multiply_adds(inception), multiply_adds(full)
    values, full_values = (convolution_outputs(model.stem.conv1) for model in (inception, full))
    return {
        "inception_parameters_with_head": float(parameters(_build(Inception, "bn", aux=True))),
        "weight_increase": weights(inception) / weights(googlenet) - 1,
        "multiply_add_increase": work["Inception"] / multiply_adds(googlenet)["GoogLeNet"] - 1,
        "separable_conv1_multiply_adds_ratio": work[CONV1] / full_work[CONV1],
        "separable_conv1_values_ratio": values / full_values,
    }
