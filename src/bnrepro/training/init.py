"""Initial weights."""

import torch

from bnrepro.models.stacked import StackedLinear
from bnrepro.seeding import torch_rng


@torch.no_grad()
def gaussian(model: torch.nn.Module, std: float, seeds: list[int]) -> None:
    """Every weight matrix N(0, std^2), biases 0; Sec. 4.1 says "small random Gaussian values" and gives no std.

    Network k of the stack draws from seed k's own stream, layer by layer, so that a seed's draws are the same in every
    arm and scale with ``std``.
    """
    for k, seed in enumerate(seeds):
        generator = torch_rng(seed, "init")
        for layer in model.modules():
            if isinstance(layer, StackedLinear):
                draws = torch.empty(layer.weight.shape[1:]).normal_(generator=generator)
                layer.weight[k].copy_(std * draws)
