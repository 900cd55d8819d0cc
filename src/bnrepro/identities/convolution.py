"""Batch normalisation of feature maps (Sec. 3.2), and where the network has it."""

from functools import partial

import torch
from torch import Tensor, nn

from bnrepro.identities.common import EPS, Numbers, difference, generator, randn, randomised_norm
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.per_activation import PerActivationBatchNorm
from bnrepro.models.convolution import ConvUnit
from bnrepro.models.inception import Inception

M, CHANNELS, P, Q = 4, 3, 5, 6


def _rows(maps: Tensor) -> Tensor:
    return maps.movedim(1, -1).reshape(-1, CHANNELS)


def maps() -> Numbers:
    """BN of maps (4, 3, 5, 6) against BN of activations (4 * 5 * 6, 3).

    output_difference, gradient_difference, statistics_difference: the largest of outputs, of gradients of x, gamma and
    beta, and of running statistics. shift_error: of BN of a circularly shifted map and the shifted BN of the map.
    per_activation_shift_error: the same with statistics, gamma and beta for each position. gammas_per_map,
    betas_per_map: counted.
    """
    rng = generator()
    conv = randomised_norm(CHANNELS, rng)
    dense = BatchNorm(CHANNELS, eps=EPS).double()
    dense.load_state_dict(conv.state_dict())
    each = PerActivationBatchNorm(CHANNELS, (P, Q), eps=EPS).double()
    each.weight.data = randn(rng, each.num_features)
    x, dy = 3 * randn(rng, M, CHANNELS, P, Q) + 1, randn(rng, M, CHANNELS, P, Q)

    inputs, flat = x.clone().requires_grad_(), _rows(x).requires_grad_()
    y, y_flat = conv(inputs), dense(flat)
    of_maps = torch.autograd.grad(y, (inputs, conv.weight, conv.bias), dy)
    of_rows = torch.autograd.grad(y_flat, (flat, dense.weight, dense.bias), _rows(dy))
    gradients = zip((_rows(of_maps[0]), *of_maps[1:]), of_rows, strict=True)
    statistics = ((getattr(norm, name) for norm in (conv, dense)) for name in ("running_mean", "running_var"))

    def shift(maps: Tensor) -> Tensor:
        return torch.roll(maps, (1, 2), (2, 3))

    return {
        "output_difference": difference(_rows(y), y_flat),
        "gradient_difference": max(difference(*pair) for pair in gradients),
        "statistics_difference": max(difference(*pair) for pair in statistics),
        "shift_error": difference(conv(shift(x)), shift(y)),
        "per_activation_shift_error": difference(each(shift(x)), shift(each(x))),
        "gammas_per_map": conv.weight.numel() / CHANNELS,
        "betas_per_map": conv.bias.numel() / CHANNELS,
    }


def effective_batch() -> float:
    """m' as the layer itself uses it: its unbiased variance over the biased one is m' / (m' - 1)."""
    norm = BatchNorm(1, momentum=1.0).double()
    x = randn(generator(), M, 1, P, Q)
    norm(x)
    ratio = norm.running_var.item() / x.var(correction=0).item()
    return ratio / (ratio - 1)


def data_flow() -> tuple[int, int]:
    """How many units BN-Inception has, and in how many of them the data go from convolution to BN to ReLU.

    Followed in a forward pass: what the convolution gives is what BN takes, and what BN gives is what ReLU takes.
    """
    model = Inception(10, norm_layer=partial(build_norm, "bn"), pixels=32, width=0.25, stem_reduction=4)
    units = [unit for unit in model.modules() if isinstance(unit, ConvUnit)]
    inputs: dict[nn.Module, Tensor] = {}
    outputs: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, arguments: tuple[Tensor], output: Tensor) -> None:
        inputs[module], outputs[module] = arguments[0], output

    for unit in units:
        for module in unit:
            module.register_forward_hook(note)
    model(torch.zeros(2, 3, 32, 32))
    in_order = [
        isinstance(unit.nonlinearity, nn.ReLU)
        and isinstance(unit.norm, BatchNorm)
        and inputs[unit.norm] is outputs[unit.conv]
        and inputs[unit.nonlinearity] is outputs[unit.norm]
        for unit in units
    ]
    return len(units), sum(in_order)


def maps_and_place() -> Numbers:
    """`maps`, and the effective mini-batch and the place of BN (Sec. 3.2).

    effective_batch: what the layer uses, for 4 maps of 5 x 6. effective_batch_error: its difference from m p q.
    units: convolutions of BN-Inception. units_otherwise: those where BN is not between convolution and ReLU.
    """
    units, in_order = data_flow()
    effective = effective_batch()
    return maps() | {
        "effective_batch": effective,
        "effective_batch_error": abs(effective - M * P * Q),
        "units": float(units),
        "units_otherwise": float(units - in_order),
    }
