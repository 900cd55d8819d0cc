"""GoogLeNet, Table 1 of arXiv:1409.4842, with and without batch normalisation."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnrepro.models.convolution import AuxiliaryHead, Build, ConvUnit, MaxPool, NormLayer, Stem, halved
from bnrepro.models.trunk import Trunk


class Row(NamedTuple):
    """One module as Table 1 prints it: output channels of each branch; the pool branch is a max pool and a 1x1."""

    name: str
    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    projection: int
    pool_before: bool = False  # a max pool 3x3/2 stands between the modules


TABLE_1 = (
    Row("3a", 64, 96, 128, 16, 32, 32),
    Row("3b", 128, 128, 192, 32, 96, 64),
    Row("4a", 192, 96, 208, 16, 48, 64, pool_before=True),
    Row("4b", 160, 112, 224, 24, 64, 64),
    Row("4c", 128, 128, 256, 24, 64, 64),
    Row("4d", 112, 144, 288, 32, 64, 64),
    Row("4e", 256, 160, 320, 32, 128, 128),
    Row("5a", 256, 160, 320, 32, 128, 128, pool_before=True),
    Row("5b", 384, 192, 384, 48, 128, 128),
)


class GoogLeNetModule(nn.Module):
    """The branches of one row, side by side and concatenated: 1x1, 3x3, 5x5, pool."""

    def __init__(self, into: int, row: Row, size: int, build: Build):
        super().__init__()
        c = build.channels
        self.stride = 2 if row.pool_before else 1
        self.pool_before = MaxPool(2, build.pool_padding) if row.pool_before else nn.Identity()
        self.pool = MaxPool(1, build.pool_padding)
        size = halved(size, build.pool_padding) if row.pool_before else size
        self.one = ConvUnit(into, c(row.one), 1, size, build)
        self.three_reduce = ConvUnit(into, c(row.three_reduce), 1, size, build)
        self.three = ConvUnit(c(row.three_reduce), c(row.three), 3, size, build)
        self.five_reduce = ConvUnit(into, c(row.five_reduce), 1, size, build)
        self.five = ConvUnit(c(row.five_reduce), c(row.five), 5, size, build)
        self.projection = ConvUnit(into, c(row.projection), 1, size, build)
        self.size_out = size
        self.channels_out = c(row.one) + c(row.three) + c(row.five) + c(row.projection)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool_before(x)
        one = self.one(x)
        three = self.three(self.three_reduce(x))
        five = self.five(self.five_reduce(x))
        pooled = self.projection(self.pool(x))
        return torch.cat([one, three, five, pooled], dim=1)


class GoogLeNet(Trunk):
    """Table 1. Images (N, in_chans, pixels, pixels) to logits (N, num_classes).

    Args as `Inception`'s; in addition:
        reduce_5a: channels before the 5x5 of 5a: the printed 32, or 48, which the printed costs say.
        aux: the two auxiliary heads, after 4a and 4d, with FC-1024 and dropout of 70 %.
    """

    auxiliary_after = ("4a", "4d")

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        norm_layer: NormLayer,
        norm_placement: str = "before",
        nonlinearity: str = "relu",
        pixels: int = 224,
        width: float = 1.0,
        separable: bool = True,
        reduce_5a: int = 32,
        stem_reduction: int = 8,
        pool_padding: str = "left",
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        lrn: bool = True,
        lrn_alpha: float = 1e-4,
        aux: bool = False,
    ):
        build = Build(norm_layer, nonlinearity, width, norm_placement, pool_padding)
        stem = Stem(in_chans, pixels, build, separable, lrn_alpha if lrn else 0.0, stem_reduction)
        channels, size = stem.channels_out, stem.size_out
        modules, heads = nn.ModuleDict(), nn.ModuleDict()
        for row in TABLE_1:
            if row.name == "5a":
                row = row._replace(five_reduce=reduce_5a)
            module = modules[row.name] = GoogLeNetModule(channels, row, size, build)
            channels, size = module.channels_out, module.size_out
            if aux and row.name in self.auxiliary_after:
                heads[row.name] = AuxiliaryHead(channels, size, 1024, num_classes, build, dropout=0.7)
        super().__init__(stem, modules, heads, in_chans, channels, num_classes, global_pool, drop_rate)
