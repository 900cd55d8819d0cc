"""GoogLeNet, Table 1 of arXiv:1409.4842, with and without batch normalisation."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnrepro.models.convolution import Build, ConvUnit, MaxPool
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

    def __init__(self, in_channels: int, row: Row, size: int, build: Build):
        super().__init__()
        c = build.channels
        self.stride = 2 if row.pool_before else 1
        self.pool_before = nn.Identity()
        if row.pool_before:
            self.pool_before = MaxPool(2, build.pool_padding)
            size = self.pool_before.size_out(size)
        self.pool = MaxPool(1, build.pool_padding)
        self.one = ConvUnit(in_channels, c(row.one), 1, size, build)
        self.three_reduce = ConvUnit(in_channels, c(row.three_reduce), 1, size, build)
        self.three = ConvUnit(c(row.three_reduce), c(row.three), 3, size, build)
        self.five_reduce = ConvUnit(in_channels, c(row.five_reduce), 1, size, build)
        self.five = ConvUnit(c(row.five_reduce), c(row.five), 5, size, build)
        self.projection = ConvUnit(in_channels, c(row.projection), 1, size, build)
        self.size_out = size
        self.channels_out = c(row.one) + c(row.three) + c(row.five) + c(row.projection)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool_before(x)
        three = self.three(self.three_reduce(x))
        five = self.five(self.five_reduce(x))
        pooled = self.projection(self.pool(x))
        return torch.cat([self.one(x), three, five, pooled], dim=1)


class GoogLeNet(Trunk):
    """Table 1.

    Options are those of `Trunk`. In addition ``reduce_5a`` is the number of channels before the 5x5 of 5a: the printed
    32, or 48, to which the printed costs belong.
    """

    auxiliary_after, auxiliary_hidden, auxiliary_dropout = ("4a", "4d"), 1024, 0.7

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, *, reduce_5a: int = 32, lrn: bool = True, **options):
        table = [row._replace(five_reduce=reduce_5a) if row.name == "5a" else row for row in TABLE_1]
        super().__init__(table, GoogLeNetModule, num_classes, in_chans, lrn=lrn, **options)
