"""Inception of the paper's Fig. 5, with and without batch normalisation."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bnrepro.models.convolution import AuxiliaryHead, AveragePool, Build, ConvUnit, MaxPool, NormLayer, Stem
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

    def __init__(self, into: int, row: Row, size: int, build: Build):
        super().__init__()
        c = build.channels
        self.one = ConvUnit(into, c(row.one), 1, size, build) if row.one else None
        self.three_reduce = ConvUnit(into, c(row.three_reduce), 1, size, build)
        self.three = ConvUnit(c(row.three_reduce), c(row.three), 3, size, build, row.stride)
        self.double_reduce = ConvUnit(into, c(row.double_reduce), 1, size, build)
        self.double1 = ConvUnit(c(row.double_reduce), c(row.double), 3, size, build)
        self.double2 = ConvUnit(c(row.double), c(row.double), 3, size, build, row.stride)
        self.stride = row.stride
        self.pool = AveragePool(build.pool_padding) if row.pool == "avg" else MaxPool(row.stride, build.pool_padding)
        self.projection = ConvUnit(into, c(row.projection), 1, size, build) if row.projection else None
        self.size_out = self.three.size_out
        self.channels_out = c(row.one) + c(row.three) + c(row.double) + (c(row.projection) or into)

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
    """Fig. 5. Images (N, in_chans, pixels, pixels) to logits (N, num_classes).

    Args:
        num_classes: 0 leaves the features, pooled unless ``global_pool`` is empty.
        in_chans: channels of the images.
        norm_layer: builds the normaliser of every convolution, or None.
        last_norm_layer: builds those of 5b, if others (Sec. 4.2.3).
        norm_placement: of all of them, ``before`` the nonlinearity or ``after``.
        nonlinearity: ``relu``, ``sigmoid`` or ``leaky_relu``.
        pixels: width of the images; the network itself takes any, per-activation normalisers and the head do not.
        width: multiplies every printed number of channels.
        separable: the first convolution is separable with multiplier 8, as the appendix says; else a full 7x7.
        projection_4cd: 96, or the printed 128.
        stem_reduction: 8, or 4 for small images.
        pool_padding: ``left`` or ``caffe``, see `bnrepro.models.convolution`. Caffe's needs an even map before every
            stride of 2, such as those of 224 px.
        global_pool: ``avg``, ``max``, or empty for none, which needs 0 classes.
        drop_rate: dropout before the linear layer.
        lrn: local response normalisation in the stem.
        lrn_alpha: its strength.
        aux: an auxiliary head after 4d; in training mode forward then returns the logits and a list of the head's. Its
            FC-768 makes the total 13.605 M parameters, the paper's "13.6 M".
    """

    auxiliary_after = ("4d",)

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        norm_layer: NormLayer,
        last_norm_layer: NormLayer | None = None,
        norm_placement: str = "before",
        nonlinearity: str = "relu",
        pixels: int = 224,
        width: float = 1.0,
        separable: bool = True,
        projection_4cd: int = 96,
        stem_reduction: int = 8,
        pool_padding: str = "left",
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        lrn: bool = False,
        lrn_alpha: float = 1e-4,
        aux: bool = False,
    ):
        build = Build(norm_layer, nonlinearity, width, norm_placement, pool_padding)
        stem = Stem(in_chans, pixels, build, separable, lrn_alpha if lrn else 0.0, stem_reduction)
        channels, size = stem.channels_out, stem.size_out
        modules, heads = nn.ModuleDict(), nn.ModuleDict()
        last = Build(last_norm_layer or norm_layer, nonlinearity, width, norm_placement, pool_padding)
        for row in FIGURE_5:
            if row.name in ("4c", "4d"):
                row = row._replace(projection=projection_4cd)
            of_row = last if row is FIGURE_5[-1] else build
            module = modules[row.name] = InceptionModule(channels, row, size, of_row)
            channels, size = module.channels_out, module.size_out
            if aux and row.name in self.auxiliary_after:
                heads[row.name] = AuxiliaryHead(channels, size, 768, num_classes, build, dropout=0.0)
        super().__init__(stem, modules, heads, in_chans, channels, num_classes, global_pool, drop_rate)
