"""Parameters, multiply-adds and depth, counted on networks without memory (Sec. 5 and the appendix)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bnrepro.identities.common import Numbers
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models.googlenet import TABLE_1, GoogLeNet
from bnrepro.models.inception import Inception
from bnrepro.models.mlp import MLP
from bnrepro.models.trunk import Trunk
from bnrepro.training.population import batch_norms

PIXELS = 224
LAYERS = (nn.Conv2d, nn.Linear)
CONV1 = "Inception.stem.conv1"


def parameters(model: nn.Module) -> int:
    """All of them."""
    return sum(p.numel() for p in model.parameters())


def weights(model: nn.Module) -> int:
    """Those of convolutions and linear layers, without biases."""
    return sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, LAYERS))


def _build(network: type[Trunk], norm: str, **options: Any) -> Trunk:
    with torch.device("meta"):
        return network(norm_layer=partial(build_norm, norm), **{"lrn": False} | options)


def _watch(model: nn.Module, note: Callable[[str, nn.Module, Tensor, Tensor], None]) -> None:
    """Pass one image through, and note name, module, input and output of every module."""

    def hook(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        note(name, module, inputs[0], output)

    hooks = [module.register_forward_hook(partial(hook, name)) for name, module in model.named_modules()]
    model.eval()(torch.empty(1, 3, PIXELS, PIXELS, device="meta"))
    for handle in hooks:
        handle.remove()


def multiply_adds(model: Trunk) -> dict[str, int]:
    """Of one image of 224 px, in each module by its name; that of the whole network is that of its class."""
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.empty(1, 3, PIXELS, PIXELS, device="meta"))
    return {name: sum(flops.values()) // 2 for name, flops in counter.get_flop_counts().items()}


def values_given(conv1: nn.Module) -> int:
    """Numbers that the convolutions of a network's first unit give for one image of 224 px."""
    values: list[int] = []

    def note(name: str, module: nn.Module, _: Tensor, output: Tensor) -> None:
        if isinstance(module, LAYERS):
            values.append(output.numel())

    _watch(conv1, note)
    return sum(values)


def weight_layers(model: Trunk) -> tuple[int, dict[str, int]]:
    """The most convolutions and linear layers in a row from image to logits, and of these each row's."""
    depth: dict[Any, int] = {None: 0}  # by node of the gradient's graph

    def longest(node: Any) -> int:
        pending = [node]
        while pending:
            last = pending[-1]
            before = [earlier for earlier, _ in last.next_functions]
            if missing := [earlier for earlier in before if earlier not in depth]:
                pending += missing
                continue
            pending.pop()
            own = last.name().startswith(("ConvolutionBackward", "AddmmBackward"))
            depth[last] = max((depth[earlier] for earlier in before), default=0) + own
        return depth[node]

    of_rows: dict[str, int] = {}

    def note(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        if name == "":
            of_rows["all"] = longest(output.grad_fn)
        elif name.startswith("rows.") and name.count(".") == 1:
            of_rows[name.removeprefix("rows.")] = longest(output.grad_fn) - longest(inputs.grad_fn)

    _watch(model, note)
    return of_rows.pop("all"), of_rows


def extra_parameters() -> Numbers:
    """gamma and beta, two for each map of BN-Inception and each activation of Sec. 4.1's network (Sec. 5).

    extra, share: gamma and beta of BN-Inception, and their share of all its parameters. maps: it has. extra_per_map.
    net_per_map: more parameters than the same network with biases and without BN, per map. mlp_extra_per_activation.
    """
    model, plain = _build(Inception, "bn"), _build(Inception, "none")
    dense = MLP((784, 100, 100, 100, 10), BatchNorm)
    extra, dense_extra = (sum(map(parameters, batch_norms(network))) for network in (model, dense))
    maps = sum(unit.num_features for unit in batch_norms(model))
    return {
        "extra": float(extra),
        "maps": float(maps),
        "extra_per_map": extra / maps,
        "share": extra / parameters(model),
        "net_per_map": (parameters(model) - parameters(plain)) / maps,
        "mlp_extra_per_activation": dense_extra / sum(layer.linear.weight.shape[1] for layer in dense.hidden),
    }


def five_by_five_swap() -> float:
    """Relative rise of GoogLeNet's weights if every 5x5 becomes two 3x3 of its width and nothing else changes."""
    rise = sum(9 * (row.five_reduce + row.five) * row.five - 25 * row.five_reduce * row.five for row in TABLE_1)
    return rise / weights(_build(GoogLeNet, "none"))


def appendix() -> Numbers:
    """BN-Inception of Fig. 5 against GoogLeNet's Table 1, both with the separable first convolution, at 224 px.

    inception_parameters, inception_parameters_with_head: with gamma and beta; with one auxiliary head.
    googlenet_weights. weight_increase, multiply_add_increase: of BN-Inception over GoogLeNet, relative.
    swap_weight_increase: of `five_by_five_swap`. inception_multiply_adds, googlenet_multiply_adds: of one image.
    inception_weight_layers, googlenet_weight_layers: the most in a row, the first convolution counted as one.
    weight_layers_added_by_shared_modules, weight_layers_added_by_3c: where the difference is.
    modules_28, googlenet_modules_28: those on maps of 28 x 28, named 3. separable_conv1_multiply_adds_ratio,
    separable_conv1_weights_ratio, separable_conv1_values_ratio: separable over full; values are what training keeps.
    """
    inception, googlenet = _build(Inception, "none"), _build(GoogLeNet, "none")
    full = _build(Inception, "none", separable=False)
    counts, full_counts = multiply_adds(inception), multiply_adds(full)
    work, googlenet_work = counts["Inception"], multiply_adds(googlenet)["GoogLeNet"]
    layers, of_rows = weight_layers(full)
    googlenet_layers, googlenet_rows = weight_layers(_build(GoogLeNet, "none", separable=False))
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
        "weight_layers_added_by_shared_modules": float(
            sum(of_rows[name] - depth for name, depth in googlenet_rows.items())
        ),
        "weight_layers_added_by_3c": float(of_rows["3c"]),
        "modules_28": float(sum(name.startswith("3") for name in of_rows)),
        "googlenet_modules_28": float(sum(name.startswith("3") for name in googlenet_rows)),
        "separable_conv1_multiply_adds_ratio": counts[CONV1] / full_counts[CONV1],
        "separable_conv1_weights_ratio": weights(inception.stem.conv1) / weights(full.stem.conv1),
        "separable_conv1_values_ratio": values_given(inception.stem.conv1) / values_given(full.stem.conv1),
    }
