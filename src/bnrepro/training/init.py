"""Initial weights."""

import math

import torch
from torch import Tensor, nn

from bnrepro.config.schema import Init
from bnrepro.config.seeding import torch_rng
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.group_norm import GroupNorm
from bnrepro.models.stacked import StackedLinear


@torch.no_grad()
def initialise(model: nn.Module, init: Init, seeds: list[int]) -> None:
    """Every weight is normal with mean 0, biases are 0, gamma keeps its 1, and beta is ``init.beta``.

    A seed's draws are the same in every arm, and only their scale differs. Network k of a stack draws layer by layer
    from the stream of seed k. Each layer of a convolutional network has a stream of its own, by name.
    """
    for layer in model.modules():
        if isinstance(layer, BatchNorm | GroupNorm) and layer.bias is not None:
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
    """Draw a weight (out, in, ...).

    The standard deviation is ``init.std`` for ``gaussian`` (Sec. 4.1's "small random Gaussian"; caffe's 0.01),
    sqrt(2 / fan in) for ``he`` (tf-slim's variance scaling), and sqrt(1 / fan in) for ``xavier`` (caffe's). The paper
    gives none. ``init.gain`` multiplies the last two, and ``init.conv_gain`` those of convolutions.
    """
    fan_in = weight[0].numel()
    std = {
        "gaussian": init.std,
        "he": init.gain * math.sqrt(2 / fan_in),
        "xavier": init.gain * math.sqrt(1 / fan_in),
    }[init.name]
    if weight.ndim == 4:
        std *= init.conv_gain
    weight.copy_(std * torch.empty(weight.shape).normal_(generator=generator))
