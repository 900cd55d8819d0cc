"""The MNIST network of Sec. 4.1: fully connected hidden layers, each W u (+ b), optional normaliser, nonlinearity."""

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from bnrepro.models.placement import complete, needs_bias
from bnrepro.models.stacked import StackedLinear, StackedNorm, StackedSigmoid

NONLINEARITIES = {"sigmoid": StackedSigmoid, "relu": nn.ReLU}


class MLP(nn.Module):
    """S multilayer perceptrons side by side (S = 1 is an ordinary one).

    ``sizes`` are the features of the input, of each hidden layer and of the output: 784, 100, 100, 100, 10 in the
    paper. ``build_norm`` builds a normaliser for a number of features, or None. The output layer is not normalised,
    because Sec. 4.1 speaks of the hidden layers.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        build_norm: Callable[[int], nn.Module | None],
        nonlinearity: str = "sigmoid",
        placement: str = "before",
        stack: int = 1,
    ):
        super().__init__()
        self.stack = stack
        self.hidden = nn.ModuleList()
        for fan_in, fan_out in itertools.pairwise(sizes[:-1]):
            norm = build_norm(stack * fan_out)
            layer = nn.Sequential()
            layer.linear = StackedLinear(stack, fan_in, fan_out, bias=needs_bias(norm, placement))
            stacked_norm = None if norm is None else StackedNorm(norm, stack)
            complete(layer, stacked_norm, NONLINEARITIES[nonlinearity](), placement)
            self.hidden.append(layer)
        self.output = StackedLinear(stack, sizes[-2], sizes[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Images (S, N, inputs) -> logits (S, classes, N)."""
        x = images.transpose(1, 2)
        for layer in self.hidden:
            x = layer(x)
        return self.output(x)
