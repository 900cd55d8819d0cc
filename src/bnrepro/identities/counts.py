"""Parameters, multiply-adds and depth, counted on networks without memory (Sec. 5 and the appendix)."""

from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import fx, nn
from torch.utils.flop_counter import FlopCounterMode

from bnrepro.identities.common import Numbers
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models.googlenet import TABLE_1, GoogLeNet
from bnrepro.models.inception import Inception
from bnrepro.models.mlp import MLP
from bnrepro.models.trunk import Trunk
from bnrepro.training.population import batch_norms

LAYERS = (nn.Conv2d, nn.Linear)
CONV1 = "Inception.stem.conv1"


def parameters(model: nn.Module) -> int:
    """The number of all parameters."""
    return sum(p.numel() for p in model.parameters())


def weights(model: nn.Module) -> int:
    """The number of weights of convolutions and linear layers, without biases."""
    return sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, LAYERS))


def _build(network: type[Trunk], norm: str, **options: Any) -> Trunk:
    with torch.device("meta"):
        return network(norm_layer=partial(build_norm, norm), **{"lrn": False} | options)


def _image() -> torch.Tensor:
    return torch.empty(1, 3, 224, 224, device="meta")


def multiply_adds(model: Trunk) -> dict[str, int]:
    """The multiply-adds of each module for one image of 224 px, by the name of the module.

    Names begin with the class of the network; the class alone is the whole network.
    """
    with FlopCounterMode(display=False) as counter:
        model.eval()(_image())
    return {name: sum(flops.values()) // 2 for name, flops in counter.get_flop_counts().items()}


def convolution_outputs(conv1: nn.Module) -> int:
    """The number of values that the convolutions of a network's first unit compute for one image of 224 px."""
    counts: list[int] = []
    layers = [layer for layer in conv1.modules() if isinstance(layer, LAYERS)]
    hooks = [layer.register_forward_hook(lambda *call: counts.append(call[-1].numel())) for layer in layers]
    conv1(_image())
    for hook in hooks:
        hook.remove()
    return sum(counts)


def weight_layers(model: Trunk) -> tuple[int, dict[str, int]]:
    """The most convolutions and linear layers in a row from image to logits, and the number that each row adds."""
    depth: dict[fx.Node, int] = {}
    reached: dict[str, int] = {"stem": 0}  # the largest depth within the stem, and within each row of the table
    for node in fx.symbolic_trace(model.eval()).graph.nodes:
        module = model.get_submodule(node.target) if node.op == "call_module" else None
        depth[node] = max((depth[earlier] for earlier in node.all_input_nodes), default=0) + isinstance(module, LAYERS)
        if module is not None and node.target.startswith(("stem.", "rows.")):
            row = "stem" if node.target.startswith("stem.") else node.target.split(".")[1]
            reached[row] = max(depth[node], reached.get(row, 0))
    added = {row: reached[row] - reached[before] for before, row in pairwise(reached)}
    return max(depth.values()), added


def extra_parameters() -> Numbers:
    """BN adds gamma and beta to each map of Inception and to each activation of Sec. 4.1's network (Sec. 5)."""
    model, plain = _build(Inception, "bn"), _build(Inception, "none")
    dense = MLP((784, 100, 100, 100, 10), BatchNorm)
    extra, dense_extra = (sum(map(parameters, batch_norms(network))) for network in (model, dense))
    maps = sum(norm.num_features for norm in batch_norms(model))
    return {
        "extra": float(extra),
        "maps": float(maps),
        "extra_per_map": extra / maps,
        "share": extra / parameters(model),
        "net_per_map": (parameters(model) - parameters(plain)) / maps,  # the network without BN has biases
        "mlp_extra_per_activation": dense_extra / sum(layer.linear.weight.shape[1] for layer in dense.hidden),
    }


def five_by_five_swap() -> float:
    """The relative rise of GoogLeNet's weights if each 5x5 becomes two 3x3 of its width and nothing else changes."""
    rise = sum(9 * (row.five_reduce + row.five) * row.five - 25 * row.five_reduce * row.five for row in TABLE_1)
    return rise / weights(_build(GoogLeNet, "none"))


def appendix() -> Numbers:
    """BN-Inception (Fig. 5) against GoogLeNet (Table 1), both with the separable first convolution, at 224 px.

    ``*_increase`` is relative to GoogLeNet. ``*_weight_layers`` counts the separable convolution as one.
    ``*_modules_28`` counts the modules on maps of 28 x 28, whose names begin with 3.
    """
    inception, googlenet = _build(Inception, "none"), _build(GoogLeNet, "none")
    full = _build(Inception, "none", separable=False)
    counts, full_counts = multiply_adds(inception), multiply_adds(full)
    work, googlenet_work = counts["Inception"], multiply_adds(googlenet)["GoogLeNet"]
    layers, rows = weight_layers(full)
    googlenet_layers, googlenet_rows = weight_layers(_build(GoogLeNet, "none", separable=False))
    added_by_shared = sum(rows[name] - added for name, added in googlenet_rows.items())
    return {
        "inception_parameters": float(parameters(_build(Inception, "bn"))),
        "inception_parameters_with_head": float(parameters(_build(Inception, "bn", aux=True))),
        "googlenet_weights": float(weights(googlenet)),
        "weight_increase": weights(inception) / weights(googlenet) - 1,
        "swap_weight_increase": five_by_five_swap(),
        "inception_multiply_adds": float(work),
        "googlenet_multiply_adds": float(googlenet_work),
        "multiply_add_increase": work / googlenet_work - 1,
        "inception_weight_layers": float(layers),
        "googlenet_weight_layers": float(googlenet_layers),
        "weight_layers_added_by_shared_modules": float(added_by_shared),
        "weight_layers_added_by_3c": float(rows["3c"]),
        "modules_28": float(sum(name.startswith("3") for name in rows)),
        "googlenet_modules_28": float(sum(name.startswith("3") for name in googlenet_rows)),
        "separable_conv1_multiply_adds_ratio": counts[CONV1] / full_counts[CONV1],
        "separable_conv1_weights_ratio": weights(inception.stem.conv1) / weights(full.stem.conv1),
        "separable_conv1_values_ratio": convolution_outputs(inception.stem.conv1)
        / convolution_outputs(full.stem.conv1),
    }
