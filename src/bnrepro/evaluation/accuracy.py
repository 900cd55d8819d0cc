"""Loss and accuracy of a stack of networks on a resident set of images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK = 1000  # images a forward pass


@torch.no_grad()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Mean cross-entropy in nats, and top-1 and top-5 accuracy as fractions, each (S,).

    Args:
        model: maps (S, N, inputs) to logits (S, classes, N); used in the mode it is in.
        images: (M, inputs), any numeric type; the same for every network of the stack.
        labels: (M,).
    """
    stack = model.stack
    totals = {"loss": 0.0, "top1": 0.0, "top5": 0.0}
    for start in range(0, len(images), CHUNK):
        x = images[start : start + CHUNK].float().expand(stack, -1, -1)
        y = labels[start : start + CHUNK].expand(stack, -1)
        logits = model(x)
        totals["loss"] += F.cross_entropy(logits, y, reduction="none").sum(1).double()
        target = logits.gather(1, y[:, None])
        # A rank counts ties against the network, and NaN as wrong: constant logits are not a correct answer.
        rank = (~(logits < target)).sum(1)
        totals["top1"] += (rank <= 1).sum(1).double()
        totals["top5"] += (rank <= 5).sum(1).double()
    return {name: total / len(images) for name, total in totals.items()}
