"""What Inception and GoogLeNet share: stem, modules in a row, pooled features, dropout, linear; timm's interface."""

import torch.nn.functional as F
from torch import Tensor, nn


class Trunk(nn.Module):
    """Stem, modules, global average pool, dropout, linear layer.

    Args:
        stem: images to the first map.
        modules: the rows of the table by name, in order.
        heads: auxiliary classifiers by the name of the row they follow; used in training mode only.
        num_features: channels of the last map.
        num_classes: 0 for none.
        drop_rate: dropout before the linear layer.
    """

    def __init__(
        self,
        stem: nn.Module,
        modules: nn.ModuleDict,
        heads: nn.ModuleDict,
        num_features: int,
        num_classes: int,
        drop_rate: float,
    ):
        super().__init__()
        self.num_features = self.head_hidden_size = num_features
        self.drop_rate = drop_rate
        self.stem, self.rows, self.heads = stem, modules, heads
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int, global_pool: str = "avg") -> None:
        """A new linear layer for another number of classes."""
        self.num_classes = num_classes
        self.classifier = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The linear layer."""
        return self.classifier

    def forward_features(self, x: Tensor, auxiliary: list[Tensor] | None = None) -> Tensor:
        """The last map, (N, num_features, h, w); logits of auxiliary heads are added to ``auxiliary`` if given."""
        x = self.stem(x)
        for name, module in self.rows.items():
            x = module(x)
            if auxiliary is not None and name in self.heads:
                auxiliary.append(self.heads[name](x))
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooled, dropped out, and classified unless ``pre_logits``."""
        x = F.dropout(x.mean((2, 3)), self.drop_rate, self.training)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Logits; in training mode with auxiliary heads, logits and the list of the heads' logits."""
        if not (self.training and len(self.heads)):
            return self.forward_head(self.forward_features(x))
        auxiliary: list[Tensor] = []
        return self.forward_head(self.forward_features(x, auxiliary)), auxiliary
