"""The networks of binary digits (Sec. 4.1, and the recurrent one) as readers of ordinary pictures."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from bnrepro.models.mlp import MLP
from bnrepro.models.recurrent import RNN

WIDTH, CLASSES = 28, 10  # of MNIST


def network(
    kind: str,
    hidden: Sequence[int],
    build_norm: Callable[[int], nn.Module | None],
    nonlinearity: str = "sigmoid",
    placement: str = "before",
    stack: int = 1,
) -> MLP | RNN:
    """Build the network of a kind, ``mlp`` or ``rnn``, with these hidden layers."""
    if kind == "rnn":
        return RNN(WIDTH, *hidden, CLASSES, build_norm, nonlinearity, placement)
    return MLP([WIDTH * WIDTH, *hidden, CLASSES], build_norm, nonlinearity, placement, stack)


class DigitReader(nn.Module):
    """Pictures of digits, white on black, made grey and binary for a network of (1, N, 784) to (1, classes, N).

    A pixel above ``binarize_above``, of 255, is 1.
    """

    def __init__(self, network: nn.Module, binarize_above: int):
        super().__init__()
        self.network, self.binarize_above = network, binarize_above

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, 28, 28) in [-1, 1] -> logits (N, classes)."""
        grey = (images.float().mean(1) + 1) * 127.5
        binary = grey > self.binarize_above + 0.5  # between two bytes, where rounding does not matter
        return self.network(binary.flatten(1).float()[None])[0].T
