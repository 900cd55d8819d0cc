"""The parts of the convolutional networks: convolution, normaliser, nonlinearity; pools; stem; auxiliary head."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.layers.lrn import LocalResponseNorm
from bnrepro.models.placement import complete, needs_bias

NormLayer = Callable[..., nn.Module | None]  # norm_layer(channels, spatial=(h, w)); None: no normaliser
NONLINEARITIES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": partial(nn.LeakyReLU, 0.5),  # such a large slope leaves little of a ReLU's bend
}
POOL_PADDINGS = ("left", "caffe")


class MaxPool(nn.MaxPool2d):
    """3x3. With the padding ``caffe`` a pool of stride 2 is not padded, and its last window may be cut off."""

    def __init__(self, stride: int, padding: str):
        unpadded = stride == 2 and padding == "caffe"
        super().__init__(3, stride, padding=0 if unpadded else 1, ceil_mode=unpadded)

    def size_out(self, size: int) -> int:
        """Return the width of the output for an input of this width."""
        return size // 2 if self.ceil_mode else (size - 1) // self.stride + 1


class AveragePool(nn.AvgPool2d):
    """3x3 with stride 1. The zeros of the padding count in ``caffe`` and do not count in ``left``."""

    def __init__(self, padding: str):
        super().__init__(3, 1, padding=1, count_include_pad=padding == "caffe")


@dataclass(frozen=True)
class Build:
    """The options of a network that its units share; those of `bnrepro.models.trunk.Trunk` among them.

    Args:
        norm_layer: builds the normaliser of every convolution, or None.
        nonlinearity: a key of `NONLINEARITIES`.
        width: multiplies every printed number of channels.
        norm_placement: ``before`` the nonlinearity or ``after``.
        last_norm_layer: builds the normalisers of the last module, if they are others (Sec. 4.2.3).
        pixels: width of the images. The network takes any width, unless its normalisers are per activation.
        separable: the first convolution is separable with multiplier 8, as the appendix says; otherwise a full 7x7.
        stem_reduction: 8, or 4 for small images.
        pool_padding: one of `POOL_PADDINGS`. Caffe's needs an even map before every stride of 2, as 224 px give.
        lrn: local response normalisation in the stem, of strength ``lrn_alpha``.
    """

    norm_layer: NormLayer
    nonlinearity: str = "relu"
    width: float = 1.0
    norm_placement: str = "before"
    last_norm_layer: NormLayer | None = None
    pixels: int = 224
    separable: bool = True
    stem_reduction: int = 8
    pool_padding: str = "left"
    lrn: bool = False
    lrn_alpha: float = 1e-4

    def __post_init__(self) -> None:
        if self.pool_padding not in POOL_PADDINGS:
            raise ValueError(f"pool_padding={self.pool_padding} is not one of {', '.join(POOL_PADDINGS)}")

    def channels(self, printed: int) -> int:
        """Return a printed number of channels at this width."""
        return round(printed * self.width)


class ConvUnit(nn.Sequential):
    """x = Wu (+ b), then the normaliser, then the nonlinearity (Sec. 3.2), or these two in the other order.

    The convolution is padded so that stride 1 keeps the size. There is a bias unless a normaliser follows directly.

    ``kernel`` is odd. ``size`` is the width of the square input map and ``size_out`` that of the output. With a
    multiplier k in ``separable`` the convolution is a depthwise one of k filters per channel, then a 1x1 one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        size: int,
        build: Build,
        stride: int = 1,
        separable: int = 0,
    ):
        super().__init__()
        self.size_out = (size - 1) // stride + 1
        options = {"stride": stride, "padding": kernel // 2}
        norm = build.norm_layer(out_channels, spatial=(self.size_out, self.size_out))
        if separable:
            self.depthwise = nn.Conv2d(
                in_channels, in_channels * separable, kernel, groups=in_channels, bias=False, **options
            )
            in_channels, kernel, options = in_channels * separable, 1, {}
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, bias=needs_bias(norm, build.norm_placement), **options)
        complete(self, norm, NONLINEARITIES[build.nonlinearity](), build.norm_placement)


class Stem(nn.Module):
    """The rows above the first Inception module, the same in both papers.

    7x7/2 convolution to 64, max pool 3x3/2, LRN, 1x1 to 64, 3x3 to 192, LRN, max pool 3x3/2: 224 px become 28. For
    small images the second pool has stride 1 (``stem_reduction=4``): 32 px become 8, and 64 px become 16.
    """

    def __init__(self, in_chans: int, build: Build):
        super().__init__()
        first, out = build.channels(64), build.channels(192)
        self.conv1 = ConvUnit(in_chans, first, 7, build.pixels, build, stride=2, separable=8 if build.separable else 0)
        self.pool1 = MaxPool(2, build.pool_padding)
        size = self.pool1.size_out(self.conv1.size_out)
        self.lrn1 = LocalResponseNorm(first, alpha=build.lrn_alpha) if build.lrn else nn.Identity()
        self.conv2_reduce = ConvUnit(first, first, 1, size, build)
        self.conv2 = ConvUnit(first, out, 3, size, build)
        self.lrn2 = LocalResponseNorm(out, alpha=build.lrn_alpha) if build.lrn else nn.Identity()
        self.last_stride = {8: 2, 4: 1}[build.stem_reduction]
        self.pool2 = MaxPool(self.last_stride, build.pool_padding)
        self.size_out = self.pool2.size_out(size)
        self.first_channels, self.channels_out = first, out

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_intermediates(x)[2]

    def forward_intermediates(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps at a half and at a quarter of the image's width, and the output."""
        half = self.conv1(x)
        x = self.lrn1(self.pool1(half))
        quarter = self.lrn2(self.conv2(self.conv2_reduce(x)))
        return half, quarter, self.pool2(quarter)


def classifier(features: int, classes: int) -> nn.Module:
    """Return a linear layer, or an identity for 0 classes."""
    return nn.Linear(features, classes) if classes else nn.Identity()


class AuxiliaryHead(nn.Module):
    """A classifier on an inner map: average pool 5x5/3, 1x1 to 128, fully connected, dropout, linear.

    The pool leaves 4x4 at 224 px. A smaller map of at most that size is not pooled (our choice for small images).
    """

    def __init__(self, channels: int, size: int, hidden: int, classes: int, build: Build, dropout: float):
        super().__init__()
        self.pools = size >= 5
        size = (size - 5) // 3 + 1 if self.pools else size
        reduced, self.features = build.channels(128), build.channels(hidden)
        self.reduce = ConvUnit(channels, reduced, 1, size, build)
        self.hidden = nn.Sequential()
        norm = build.norm_layer(self.features, spatial=())
        self.hidden.linear = nn.Linear(
            reduced * size * size, self.features, bias=needs_bias(norm, build.norm_placement)
        )
        complete(self.hidden, norm, NONLINEARITIES[build.nonlinearity](), build.norm_placement)
        self.dropout = nn.Dropout(dropout)
        self.classifier = classifier(self.features, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(F.avg_pool2d(x, 5, 3) if self.pools else x)
        return self.classifier(self.dropout(self.hidden(x.flatten(1))))
