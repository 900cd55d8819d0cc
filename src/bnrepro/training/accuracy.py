"""Loss and accuracy of a stack of networks on held-out images."""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor


def accuracy_of(batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Mean cross-entropy in nats, and top-1 and top-5 accuracy as fractions, each (S,).

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
