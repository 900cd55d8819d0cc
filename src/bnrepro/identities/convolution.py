"""Batch normalisation of feature maps, and its place in the network (Sec. 3.2)."""

from functools import partial

import torch
from torch import Tensor, nn

from bnrepro.identities.common import EPS, Numbers, batch_norm, difference, generator, randn
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.per_activation import PerActivationBatchNorm
from bnrepro.models.convolution import ConvUnit
from bnrepro.models.inception import Inception

M, CHANNELS, P, Q = 4, 3, 5, 6


def _rows(maps: Tensor) -> Tensor:
    """Return maps (m, c, p, q) as activations (m p q, c)."""
    return maps.movedim(1, -1).reshape(-1, CHANNELS)


def _shift(maps: Tensor) -> Tensor:
    return torch.roll(maps, (1, 2), (2, 3))


def maps() -> Numbers:
    """Compare BN of maps (4, 3, 5, 6) with BN of activations (4 * 5 * 6, 3), and with BN of shifted maps."""
    rng = generator()
    of_maps, of_rows = batch_norm(CHANNELS, EPS, affine=True), batch_norm(CHANNELS, EPS, affine=True)
    of_maps.weight.data = 0.5 + torch.rand(CHANNELS, generator=rng, dtype=torch.float64)
    of_maps.bias.data = randn(rng, CHANNELS)
    of_rows.load_state_dict(of_maps.state_dict())
    per_activation = PerActivationBatchNorm(CHANNELS, (P, Q), eps=EPS).double()
    per_activation.weight.data = randn(rng, per_activation.num_features)
    x, dy = 3 * randn(rng, M, CHANNELS, P, Q) + 1, randn(rng, M, CHANNELS, P, Q)

    inputs, rows = x.clone().requires_grad_(), _rows(x).requires_grad_()
    y, y_rows = of_maps(inputs), of_rows(rows)
    dx, *gradients = torch.autograd.grad(y, (inputs, of_maps.weight, of_maps.bias), dy)
    gradients_of_rows = torch.autograd.grad(y_rows, (rows, of_rows.weight, of_rows.bias), _rows(dy))
    return {
        "output_difference": difference(_rows(y), y_rows),
        "gradient_difference": max(map(difference, (_rows(dx), *gradients), gradients_of_rows)),  # x, gamma, beta
        "shift_error": difference(of_maps(_shift(x)), _shift(y)),
        "per_activation_shift_error": difference(per_activation(_shift(x)), _shift(per_activation(x))),
        "gammas_per_map": of_maps.weight.numel() / CHANNELS,
        "betas_per_map": of_maps.bias.numel() / CHANNELS,
    }


def effective_batch() -> float:
    """Return m' as the layer uses it: its unbiased variance divided by the biased one is m' / (m' - 1)."""
    norm = BatchNorm(1, momentum=1.0).double()
    x = randn(generator(), M, 1, P, Q)
    norm(x)
    ratio = norm.running_var.item() / x.var(correction=0).item()
    return ratio / (ratio - 1)


def data_flow() -> tuple[int, int]:
    """Count the units in BN-Inception, and those that pass the convolution's output to BN and BN's to ReLU."""
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
    """Measure `maps`, the size of the effective mini-batch, and the place of BN (Sec. 3.2)."""
    units, in_order = data_flow()
    return maps() | {
        "effective_batch_error": abs(effective_batch() - M * P * Q),
        "units_otherwise": float(units - in_order),  # BN is not between the convolution and the ReLU
    }
