"""What Inception and GoogLeNet share: stem, modules in a row, pooled features, dropout, linear; timm's interface."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bnrepro.models.convolution import AuxiliaryHead, Build, Stem, classifier

GLOBAL_POOLS = ("avg", "fast", "max", "")  # timm's names: "fast" is an average too; "" leaves the map


def _checkpointed(module: nn.Module, x: Tensor) -> Tensor:
    """Return module(x), and compute its activations again in the backward pass instead of keeping them.

    The second computation works on copies of the buffers, so that running statistics take in a batch only once.
    """
    calls = itertools.count()

    def call(x: Tensor) -> Tensor:
        if next(calls) == 0:
            return module(x)
        copies = {name: buffer.clone() for name, buffer in module.named_buffers()}
        return torch.func.functional_call(module, copies, (x,))

    return checkpoint(call, x, use_reentrant=False)


class Trunk(nn.Module):
    """A stem, a module for each row of a table, global pool, dropout, linear layer.

    Images (N, in_chans, pixels, pixels) become logits (N, num_classes). With ``aux`` and in training mode the output is
    the logits and a list of the logits of the auxiliary heads.

    Args:
        table: the rows; each has a ``name``.
        module: builds a module from its input channels, row, map width and `Build`.
        num_classes: 0 leaves the features, pooled unless ``global_pool`` is empty.
        in_chans: channels of the images.
        global_pool: one of `GLOBAL_POOLS`.
        drop_rate: dropout before the linear layer.
        aux: auxiliary heads after the rows of ``auxiliary_after``, for images of the width ``pixels`` alone.
        options: the others, see `bnrepro.models.convolution.Build`.
    """

    auxiliary_after: tuple[str, ...]
    auxiliary_hidden: int  # features of a head's fully connected layer
    auxiliary_dropout: float

    def __init__(
        self,
        table: Sequence[Any],
        module: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        aux: bool = False,
        **options: Any,
    ):
        super().__init__()
        self.in_chans, self.num_classes, self.global_pool = in_chans, num_classes, global_pool
        self.drop_rate, self.grad_checkpointing = drop_rate, False
        self._check_pool()
        build = Build(**options)
        last_build = replace(build, norm_layer=build.last_norm_layer or build.norm_layer)
        self.stem = Stem(in_chans, build)
        self.rows, self.heads = nn.ModuleDict(), nn.ModuleDict()
        channels, size = self.stem.channels_out, self.stem.size_out
        for row in table:
            built = module(channels, row, size, last_build if row is table[-1] else build)
            self.rows[row.name] = built
            channels, size = built.channels_out, built.size_out
            if aux and row.name in self.auxiliary_after:
                hidden, dropout = self.auxiliary_hidden, self.auxiliary_dropout
                self.heads[row.name] = AuxiliaryHead(channels, size, hidden, num_classes, build, dropout)
        self.num_features = self.head_hidden_size = channels
        self.feature_info = self._feature_info()
        self.head_drop = nn.Dropout(drop_rate)
        self.classifier = classifier(channels, num_classes)

    def _check_pool(self) -> None:
        if self.global_pool not in GLOBAL_POOLS:
            raise ValueError(f"global_pool={self.global_pool!r} is not one of {GLOBAL_POOLS}")
        if self.num_classes and not self.global_pool:
            raise ValueError("global_pool='' leaves a map, which cannot be classified: it needs num_classes=0")

    def _feature_info(self) -> list[dict[str, int | str]]:
        """Return the channels, the reduction and the name of the last module at each width of the maps."""
        reduction = 4 * self.stem.last_stride
        last_rows = {}
        for name, row in self.rows.items():
            reduction *= row.stride
            last_rows[reduction] = {"num_chs": row.channels_out, "reduction": reduction, "module": f"rows.{name}"}
        return [
            {"num_chs": self.stem.first_channels, "reduction": 2, "module": "stem.conv1"},
            {"num_chs": self.stem.channels_out, "reduction": 4, "module": "stem.lrn2"},
            *last_rows.values(),
        ]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Make new linear layers for another number of classes, in the auxiliary heads too."""
        self.num_classes = num_classes
        self.global_pool = self.global_pool if global_pool is None else global_pool
        self._check_pool()
        like = next(self.stem.parameters())
        for part, features in [(self, self.num_features), *((head, head.features) for head in self.heads.values())]:
            part.classifier = classifier(features, num_classes).to(like.device, like.dtype).train(self.training)

    def get_classifier(self) -> nn.Module:
        """Return the linear layer."""
        return self.classifier

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Choose whether training computes the activations inside modules again instead of keeping them."""
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """Return the depth of a parameter by its name: stem, each row (``coarse``: each width of maps), the rest."""
        depths = {f"rows.{name}.": int(name[0]) if coarse else i for i, name in enumerate(self.rows, start=1)}
        depths["stem."] = 0
        return lambda parameter: next((d for prefix, d in depths.items() if parameter.startswith(prefix)), math.inf)

    def _row(self, module: nn.Module, x: Tensor) -> Tensor:
        return _checkpointed(module, x) if self.grad_checkpointing and self.training else module(x)

    def forward_features(self, x: Tensor, auxiliary: list[Tensor] | None = None) -> Tensor:
        """Return the last map, (N, num_features, h, w); append the logits of the heads to ``auxiliary`` if given."""
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
        """Return the last map and, in order, the chosen maps of ``feature_info``.

        ``indices`` are into ``feature_info``; a number n chooses the last n, None all. ``stop_early`` computes nothing
        after the last chosen map, which is then returned as the last one. ``norm`` has no effect, because no normaliser
        follows the last module.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt={output_fmt} is not NCHW")
        names = [info["module"] for info in self.feature_info]
        if isinstance(indices, int):
            indices = range(-indices, 0)
        chosen = set(names if indices is None else [names[i] for i in indices])
        half, quarter, x = self.stem.forward_intermediates(x)
        maps = {"stem.conv1": half, "stem.lrn2": quarter}
        for name, module in self.rows.items():
            if stop_early and chosen <= maps.keys():
                break
            x = maps[f"rows.{name}"] = self._row(module, x)
        intermediates = [maps[name] for name in names if name in chosen]
        return intermediates if intermediates_only else (x, intermediates)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool, drop out, and classify unless ``pre_logits``."""
        if self.global_pool == "avg" or self.global_pool == "fast":
            x = x.mean((-2, -1))
        elif self.global_pool == "max":
            x = x.amax((-2, -1))
        x = self.head_drop(x)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        if not (self.training and len(self.heads)):
            return self.forward_head(self.forward_features(x))
        auxiliary: list[Tensor] = []
        return self.forward_head(self.forward_features(x, auxiliary)), auxiliary
