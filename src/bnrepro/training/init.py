"""Initial weights."""

import math

import torch
from torch import Tensor, nn

from bnrepro.config.schema import Init
from bnrepro.config.seeding import torch_rng
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.group_norm import GroupNorm
from bnrepro.models.stacked import StackedLinear

NORMALISERS = (BatchNorm, GroupNorm)


def _std(init: Init, weight: Tensor) -> float:
    """The standard deviation for a weight (out, in, ...).

    ``gaussian``: ``init.std`` (Sec. 4.1's "small random Gaussian"; caffe's 0.01). ``he``: sqrt(2 / fan in), as
    tf-slim's variance scaling. ``xavier``: caffe's sqrt(1 / fan in). The last two times ``init.gain``; the paper gives
    none. Weights of convolutions, (out, in, height, width), times ``init.conv_gain`` in all three.
    """
    fan_in = weight[0].numel()
    std = {
        "gaussian": init.std,
        "he": init.gain * math.sqrt(2 / fan_in),
        "xavier": init.gain * math.sqrt(1 / fan_in),
    }[init.name]
    return std * init.conv_gain if weight.ndim == 4 else std


@torch.no_grad()
def initialise(model: nn.Module, init: Init, seeds: list[int]) -> None:
    """Every weight normal with mean 0, biases 0; gamma keeps its 1, and beta is ``init.beta``.

    A seed's draws are the same in every arm and only their scale differs: network k of a stack draws from seed k's own
    stream, layer by layer; the layers of a convolutional network have a stream each, by name.
    """
    for layer in model.modules():
        if isinstance(layer, NORMALISERS) and layer.bias is not None:
            layer.bias.fill_(init.beta)
    for k, seed in enumerate(seeds):
        generator = torch_rng(seed, "init")
        for name, layer in model.named_modules():
            if isinstance(layer, StackedLinear):
                _fill(layer.weight[k], init, generator)
            elif isinstance(layer, nn.Linear | nn.Conv2d):
                _fill(layer.weight, init, torch_rng(seed, f"init {name}"))
                if layer.bias is not None:
                    layer.bias.zero_()


def _fill(weight: Tensor, init: Init, generator: torch.Generator) -> None:
    weight.copy_(_std(init, weight) * torch.empty(weight.shape).normal_(generator=generator))
