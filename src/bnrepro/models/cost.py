"""What a network costs: the multiply-adds of an image, and the least that a training step computes and moves."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnrepro.models.stacked import StackedLinear

LAYERS = (nn.Conv2d, nn.Linear, StackedLinear)


@dataclass(frozen=True)
class Cost:
    """Of one image, forward.

    Args:
        multiply_adds: of convolutions and linear layers.
        of_first: those of the first of them.
        activations: numbers that these layers read and write, weights apart.
        weights: numbers that the optimiser steps.
        shapes: of every module's output, without the axis of images, by name.
    """

    multiply_adds: int
    of_first: int
    activations: int
    weights: int
    shapes: dict[str, tuple[int, ...]]

    def step_flops(self, batch: int) -> int:
        """Floating-point operations of a training step: each product forward and twice backward; images need none."""
        return 2 * batch * (3 * self.multiply_adds - self.of_first)

    def step_bytes(self, batch: int, width: int) -> int:
        """The fewest bytes that a step moves through memory, with activations and products in ``width`` bytes.

        Each of the three products reads or writes a layer's input and output once, and its weights once; all between
        the layers is taken to cost nothing. The optimiser reads gradient, weight and momentum and writes the last two,
        in float32.
        """
        return 3 * batch * width * self.activations + (3 * width + 5 * 4) * self.weights


def cost(model: nn.Module, image: Tensor) -> Cost:
    """Count by passing one image (1, ...) through the network, on any device: on ``meta`` it takes no time."""
    counts: list[tuple[int, int]] = []
    shapes: dict[str, tuple[int, ...]] = {}

    def count(name: str):
        def hook(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            shapes[name] = tuple(out.shape[1:])
            if isinstance(module, LAYERS):
                weights = module.weight
                products = weights[0].numel() * out.numel() if isinstance(module, nn.Conv2d) else weights.numel()
                counts.append((products, args[0].numel() + out.numel()))

        return hook

    hooks = [module.register_forward_hook(count(name)) for name, module in model.named_modules()]
    training = model.training
    with torch.no_grad():
        model.eval()(image)
    model.train(training)
    for hook in hooks:
        hook.remove()
    return Cost(
        multiply_adds=sum(products for products, _ in counts),
        of_first=counts[0][0],
        activations=sum(numbers for _, numbers in counts),
        weights=sum(parameter.numel() for parameter in model.parameters()),
        shapes=shapes,
    )
