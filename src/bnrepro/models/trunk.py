"""What Inception and GoogLeNet share: stem, modules in a row, pooled features, dropout, linear; timm's interface."""

import math
from collections.abc import Callable, Sequence
from itertools import zip_longest

import torch
from torch import Tensor, nn

from bnrepro.models.convolution import Stem, classifier
from bnrepro.models.recompute import checkpointed

GLOBAL_POOLS = ("avg", "fast", "max", "")  # timm's names; its "fast" is an average too


class Trunk(nn.Module):
    """Stem, modules, global pool, dropout, linear layer.

    Args:
        stem: images to the first map.
        modules: the rows of the table by name, in order.
        heads: auxiliary classifiers by the name of the row they follow; used in training mode only.
        in_chans: channels of the images.
        num_features: channels of the last map.
        num_classes: 0 for none.
        global_pool: one of `GLOBAL_POOLS`; empty leaves the last map.
        drop_rate: dropout before the linear layer.
    """

    def __init__(
        self,
        stem: Stem,
        modules: nn.ModuleDict,
        heads: nn.ModuleDict,
        in_chans: int,
        num_features: int,
        num_classes: int,
        global_pool: str,
        drop_rate: float,
    ):
        super().__init__()
        self.in_chans, self.num_classes = in_chans, num_classes
        self.num_features = self.head_hidden_size = num_features
        self.global_pool, self.drop_rate, self.grad_checkpointing = global_pool, drop_rate, False
        self._check_pool()
        self.stem, self.rows, self.heads = stem, modules, heads
        self.feature_info = self._feature_info()
        self.head_drop = nn.Dropout(drop_rate)
        self.classifier = classifier(num_features, num_classes)

    def _check_pool(self) -> None:
        if self.global_pool not in GLOBAL_POOLS:
            raise ValueError(f"global_pool={self.global_pool!r} is not one of {GLOBAL_POOLS}")
        if self.num_classes and not self.global_pool:
            raise ValueError("global_pool='' leaves a map, which cannot be classified: it needs num_classes=0")

    def _feature_info(self) -> list[dict[str, int | str]]:
        """The last module at each width of the maps: its channels, by how much it reduces images, its name."""
        features = [
            {"num_chs": self.stem.first_channels, "reduction": 2, "module": "stem.conv1"},
            {"num_chs": self.stem.channels_out, "reduction": 4, "module": "stem.lrn2"},
        ]
        reduction = 4 * self.stem.last_stride
        rows = list(self.rows.items())
        for (name, row), following in zip_longest(rows, rows[1:]):
            reduction *= row.stride
            if following is None or following[1].stride == 2:
                features.append({"num_chs": row.channels_out, "reduction": reduction, "module": f"rows.{name}"})
        return features

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new linear layer for another number of classes, in the auxiliary heads too; the pool stays unless given."""
        self.num_classes = num_classes
        self.global_pool = self.global_pool if global_pool is None else global_pool
        self._check_pool()
        like = next(self.stem.parameters())
        self.classifier = classifier(self.num_features, num_classes, like).train(self.training)
        for head in self.heads.values():
            head.classifier = classifier(head.features, num_classes, like).train(self.training)

    def get_classifier(self) -> nn.Module:
        """The linear layer."""
        return self.classifier

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether training keeps the activations of modules or computes them again."""
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """The depth of a parameter by its name: the stem, each row (if ``coarse``, each width of maps), the rest."""
        depths = {f"rows.{name}.": int(name[0]) if coarse else i for i, name in enumerate(self.rows, start=1)}
        depths["stem."] = 0
        return lambda parameter: next((d for prefix, d in depths.items() if parameter.startswith(prefix)), math.inf)

    def no_weight_decay(self) -> set[str]:
        """None beside those of one axis, biases, gamma and beta, which timm spares anyway."""
        return set()

    def _row(self, module: nn.Module, x: Tensor) -> Tensor:
        return checkpointed(module, x) if self.grad_checkpointing and self.training else module(x)

    def forward_features(self, x: Tensor, auxiliary: list[Tensor] | None = None) -> Tensor:
        """The last map, (N, num_features, h, w); logits of auxiliary heads are added to ``auxiliary`` if given."""
        x = self.stem(x)
        for name, module in self.rows.items():
            x = module(x) if torch.jit.is_scripting() else self._row(module, x)
            if auxiliary is not None:
                for row, head in self.heads.items():  # TorchScript cannot look a module up by name
                    if row == name:
                        auxiliary.append(head(x))
        return x

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The last map and, in order, the maps of ``feature_info`` that are asked for.

        Args:
            x: images.
            indices: into ``feature_info``; a number n is the last n, None all.
            norm: has no effect: no normaliser follows the last module.
            stop_early: compute nothing behind the last map that is asked for.
            output_fmt: ``NCHW``.
            intermediates_only: leave out the last map.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt={output_fmt} is not NCHW")
        names = [info["module"] for info in self.feature_info]
        if isinstance(indices, int):
            indices = range(-indices, 0)
        taken = set(names if indices is None else [names[i] for i in indices])
        half, quarter, x = self.stem.forward_intermediates(x)
        maps = {"stem.conv1": half, "stem.lrn2": quarter}
        for name, module in self.rows.items():
            if stop_early and taken <= maps.keys():
                break
            x = maps[f"rows.{name}"] = self._row(module, x)
        intermediates = [maps[name] for name in names if name in taken]
        return intermediates if intermediates_only else (x, intermediates)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooled, dropped out, and classified unless ``pre_logits``."""
        if self.global_pool == "avg" or self.global_pool == "fast":
            x = x.mean((-2, -1))
        elif self.global_pool == "max":
            x = x.amax((-2, -1))
        x = self.head_drop(x)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Logits; in training mode with auxiliary heads, logits and the list of the heads' logits."""
        if not (self.training and len(self.heads)):
            return self.forward_head(self.forward_features(x))
        auxiliary: list[Tensor] = []
        return self.forward_head(self.forward_features(x, auxiliary)), auxiliary
