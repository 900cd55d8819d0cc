"""Inception of the paper's Fig. 5, with and without batch normalisation."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bnrepro.models.convolution import AveragePool, Build, ConvUnit, MaxPool
from bnrepro.models.trunk import Trunk


class Row(NamedTuple):
    """One module as Fig. 5 prints it: output channels of each branch, and the pooling branch."""

    name: str
    one: int  # 1x1; 0: no such branch
    three_reduce: int
    three: int  # 3x3
    double_reduce: int
    double: int  # each of the two 3x3 of the double branch
    pool: Literal["avg", "max", "pass"]  # pass: a max pool without projection, in the modules of stride 2
    projection: int
    stride: int = 1


# The printed sizes of 3c and 4e are those before their stride. 4c and 4d print a projection of 128, with which the
# branches sum to 608 and not to the printed 576: 96 makes every printed depth hold, as in Google's own tf-slim.
FIGURE_5 = (
    Row("3a", 64, 64, 64, 64, 96, "avg", 32),
    Row("3b", 64, 64, 96, 64, 96, "avg", 64),
    Row("3c", 0, 128, 160, 64, 96, "pass", 0, stride=2),
    Row("4a", 224, 64, 96, 96, 128, "avg", 128),
    Row("4b", 192, 96, 128, 96, 128, "avg", 128),
    Row("4c", 160, 128, 160, 128, 160, "avg", 96),
    Row("4d", 96, 128, 192, 160, 192, "avg", 96),
    Row("4e", 0, 128, 192, 192, 256, "pass", 0, stride=2),
    Row("5a", 352, 192, 320, 160, 224, "avg", 128),
    Row("5b", 352, 192, 320, 192, 224, "max", 128),
)


class InceptionModule(nn.Module):
    """The branches of one row, side by side and concatenated: 1x1, 3x3, double 3x3, pool."""

    def __init__(self, in_channels: int, row: Row, size: int, build: Build):
        super().__init__()
        c = build.channels
        self.one = ConvUnit(in_channels, c(row.one), 1, size, build) if row.one else None
        self.three_reduce = ConvUnit(in_channels, c(row.three_reduce), 1, size, build)
        self.three = ConvUnit(c(row.three_reduce), c(row.three), 3, size, build, row.stride)
        self.double_reduce = ConvUnit(in_channels, c(row.double_reduce), 1, size, build)
        self.double1 = ConvUnit(c(row.double_reduce), c(row.double), 3, size, build)
        self.double2 = ConvUnit(c(row.double), c(row.double), 3, size, build, row.stride)
        self.stride = row.stride
        self.pool = AveragePool(build.pool_padding) if row.pool == "avg" else MaxPool(row.stride, build.pool_padding)
        self.projection = ConvUnit(in_channels, c(row.projection), 1, size, build) if row.projection else None
        self.size_out = self.three.size_out
        self.channels_out = c(row.one) + c(row.three) + c(row.double) + (c(row.projection) or in_channels)

    def forward(self, x: Tensor) -> Tensor:
        branches: list[Tensor] = []
        if self.one is not None:
            branches.append(self.one(x))
        branches.append(self.three(self.three_reduce(x)))
        branches.append(self.double2(self.double1(self.double_reduce(x))))
        pooled = self.pool(x)
        if self.projection is not None:
            pooled = self.projection(pooled)
        branches.append(pooled)
        return torch.cat(branches, dim=1)


class Inception(Trunk):
    """Fig. 5. Its auxiliary head makes the total 13.605 M parameters, the paper's "13.6 M".

    Options are those of `Trunk`. In addition ``projection_4cd`` is 96, or the printed 128.
    """

    auxiliary_after, auxiliary_hidden, auxiliary_dropout = ("4d",), 768, 0.0

    def __init__(
        self, num_classes: int = 1000, in_chans: int = 3, *, projection_4cd: int = 96, lrn: bool = False, **options
    ):
        table = [row._replace(projection=projection_4cd) if row.name in ("4c", "4d") else row for row in FIGURE_5]
        super().__init__(table, InceptionModule, num_classes, in_chans, lrn=lrn, **options)
