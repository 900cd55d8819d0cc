"""Loss and accuracy of a stack of networks on held-out images."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK = 1000  # images a forward pass


def accuracy_of(batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Mean cross-entropy in nats, and top-1 and top-5 accuracy as fractions, each (S,).

    Args:
        batches: logits (S, classes, N) and labels (S, N).
    """
    totals, images = {"loss": 0.0, "top1": 0.0, "top5": 0.0}, 0
    for logits, y in batches:
        totals["loss"] += F.cross_entropy(logits, y, reduction="none").sum(1).double()
        target = logits.gather(1, y[:, None])
        # A rank counts ties against the network, and NaN as wrong: constant logits are not a correct answer.
        rank = (~(logits < target)).sum(1)
        totals["top1"] += (rank <= 1).sum(1).double()
        totals["top5"] += (rank <= 5).sum(1).double()
        images += y.shape[1]
    return {name: total / images for name, total in totals.items()}


@torch.no_grad()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """`accuracy_of` a stack of networks on resident images.

    Args:
        model: maps (S, N, inputs) to logits (S, classes, N); used in the mode it is in.
        images: (M, inputs), any numeric type; the same for every network of the stack.
        labels: (M,).
    """

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        for start in range(0, len(images), CHUNK):
            x = images[start : start + CHUNK].float().expand(model.stack, -1, -1)
            yield model(x), labels[start : start + CHUNK].expand(model.stack, -1)

    return accuracy_of(batches())
