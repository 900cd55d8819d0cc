"""The loss that is trained on, and loss and accuracy of a stack of networks on held-out images."""

from collections.abc import Callable, Iterable

import torch.nn.functional as F
from torch import Tensor


def loss_with_heads(
    output: Tensor | tuple[Tensor, list[Tensor]], aux_weight: float, loss_of: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the loss of a network's output plus the weighted losses of its auxiliary heads.

    Args:
        output: Logits, and in training mode also a list of the auxiliary heads' logits.
        aux_weight: The weight of the heads' losses.
        loss_of: Computes the loss of logits.
    """
    logits, auxiliary = output if isinstance(output, tuple) else (output, [])
    loss = loss_of(logits)
    for head in auxiliary:
        loss = loss + aux_weight * loss_of(head)
    return loss


def accuracy_of(batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Return the mean cross-entropy in nats, and top-1 and top-5 accuracy as fractions, each (S,).

    Args:
        batches: Logits (S, classes, N) and labels (S, N).
    """
    totals, images = {"loss": 0.0, "top1": 0.0, "top5": 0.0}, 0
    for logits, y in batches:
        totals["loss"] += F.cross_entropy(logits, y, reduction="none").sum(1).double()
        target = logits.gather(1, y[:, None])
        # Ties and NaN count against the network: constant logits are not a correct answer.
        rank = (~(logits < target)).sum(1)
        totals["top1"] += (rank <= 1).sum(1).double()
        totals["top5"] += (rank <= 5).sum(1).double()
        images += y.shape[1]
    return {name: total / images for name, total in totals.items()}
