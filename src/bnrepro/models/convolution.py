"""What the convolutional networks are made of: convolution, normaliser, nonlinearity; stems; auxiliary heads."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.layers.lrn import LocalResponseNorm
from bnrepro.models.placement import complete, needs_bias

NormLayer = Callable[..., nn.Module | None]  # norm_layer(channels, spatial=(h, w)); None: no normaliser
NONLINEARITIES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": partial(nn.LeakyReLU, 0.5),  # of a slope so large that little of a ReLU's bend is left
}


POOL_PADDINGS = ("left", "caffe")


class MaxPool(nn.Module):
    """3x3, one of `POOL_PADDINGS`: ``caffe`` does not pad where the stride is 2, and its last window may be cut off."""

    def __init__(self, stride: int, padding: str):
        super().__init__()
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2 and self.padding == "caffe":
            return F.max_pool2d(x, 3, 2, 0, ceil_mode=True)
        return F.max_pool2d(x, 3, self.stride, 1)


class AveragePool(nn.Module):
    """3x3 of stride 1. The zeros of the padding count in ``caffe``, and not in ``left``."""

    def __init__(self, padding: str):
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=self.padding == "caffe")


def halved(size: int, padding: str) -> int:
    """The width that `MaxPool` of stride 2 leaves."""
    return size // 2 if padding == "caffe" else (size + 1) // 2


def classifier(features: int, classes: int, like: Tensor | None = None) -> nn.Module:
    """A linear layer with the device and precision of ``like``; for 0 classes the features themselves."""
    if classes == 0:
        return nn.Identity()
    options = {} if like is None else {"device": like.device, "dtype": like.dtype}
    return nn.Linear(features, classes, **options)


class ConvUnit(nn.Sequential):
    """x = Wu (+ b), then the normaliser, then the nonlinearity (Sec. 3.2), or these two the other way round.

    The bias goes where a normaliser follows it (see `bnrepro.models.placement`).

    Args:
        into: input channels.
        out: output channels.
        kernel: its width, odd; padded so that stride 1 keeps the size.
        size: width of the (square) input map; `size_out` is that of the output.
        build: how to normalise and which nonlinearity.
        stride: of the convolution.
        separable: with a multiplier k the convolution is a depthwise one of k filters a channel and a 1x1 one.
    """

    def __init__(
        self, into: int, out: int, kernel: int, size: int, build: "Build", stride: int = 1, separable: int | None = None
    ):
        super().__init__()
        self.size_out = (size - 1) // stride + 1
        options = {"stride": stride, "padding": kernel // 2}
        norm = build.norm(out, spatial=(self.size_out, self.size_out))
        if separable:
            self.depthwise = nn.Conv2d(into, into * separable, kernel, groups=into, bias=False, **options)
            into, kernel, options = into * separable, 1, {}
        self.conv = nn.Conv2d(into, out, kernel, bias=needs_bias(norm, build.placement), **options)
        complete(self, norm, NONLINEARITIES[build.nonlinearity](), build.placement)


class Build:
    """The choices that every unit of a network shares.

    Args:
        norm: builds a normaliser, or None.
        nonlinearity: a key of `NONLINEARITIES`.
        width: multiplies the channels of every row of the paper's table.
        placement: of the normaliser, see `bnrepro.models.placement`.
        pool_padding: one of `POOL_PADDINGS`.
    """

    def __init__(
        self,
        norm: NormLayer,
        nonlinearity: str,
        width: float,
        placement: str = "before",
        pool_padding: str = "left",
    ):
        if pool_padding not in POOL_PADDINGS:
            raise ValueError(f"pool_padding={pool_padding} is not one of {', '.join(POOL_PADDINGS)}")
        self.norm, self.nonlinearity, self.width, self.placement = norm, nonlinearity, width, placement
        self.pool_padding = pool_padding

    def channels(self, printed: int) -> int:
        """A printed number of channels at this width."""
        return round(printed * self.width)


class Stem(nn.Module):
    """The rows above the first Inception module, the same in both papers.

    7x7/2 convolution to 64, max pool 3x3/2, LRN, 1x1 to 64, 3x3 to 192, LRN, max pool 3x3/2: 224 px become 28. For
    small images the second pool has stride 1 (``reduction=4``): 32 px become 8, 64 px become 16.
    """

    def __init__(self, in_chans: int, pixels: int, build: Build, separable: bool, lrn: float, reduction: int):
        super().__init__()
        first, out = build.channels(64), build.channels(192)
        self.conv1 = ConvUnit(in_chans, first, 7, pixels, build, stride=2, separable=8 if separable else None)
        self.pool1 = MaxPool(2, build.pool_padding)
        size = halved(self.conv1.size_out, build.pool_padding)
        self.lrn1 = LocalResponseNorm(first, alpha=lrn) if lrn else nn.Identity()
        self.conv2_reduce = ConvUnit(first, first, 1, size, build)
        self.conv2 = ConvUnit(first, out, 3, size, build)
        self.lrn2 = LocalResponseNorm(out, alpha=lrn) if lrn else nn.Identity()
        self.last_stride = {8: 2, 4: 1}[reduction]
        self.pool2 = MaxPool(self.last_stride, build.pool_padding)
        self.size_out = halved(size, build.pool_padding) if self.last_stride == 2 else size
        self.first_channels, self.channels_out = first, out

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_intermediates(x)[2]

    def forward_intermediates(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maps at a half and at a quarter of the image's width, and the output."""
        half = self.conv1(x)
        x = self.lrn1(self.pool1(half))
        quarter = self.lrn2(self.conv2(self.conv2_reduce(x)))
        return half, quarter, self.pool2(quarter)


class AuxiliaryHead(nn.Module):
    """A classifier on an inner map: average pool 5x5/3, 1x1 to 128, fully connected, dropout, linear.

    A map that is 4x4 already, as the pool leaves it at 224 px, is not pooled (our choice for small images).
    """

    def __init__(self, channels: int, size: int, hidden: int, classes: int, build: Build, dropout: float):
        super().__init__()
        self.pools = size >= 5
        size = (size - 5) // 3 + 1 if self.pools else size
        reduced, self.features = build.channels(128), build.channels(hidden)
        self.reduce = ConvUnit(channels, reduced, 1, size, build)
        self.hidden = nn.Sequential()
        norm = build.norm(self.features, spatial=())
        self.hidden.linear = nn.Linear(reduced * size * size, self.features, bias=needs_bias(norm, build.placement))
        complete(self.hidden, norm, NONLINEARITIES[build.nonlinearity](), build.placement)
        self.dropout = nn.Dropout(dropout)
        self.classifier = classifier(self.features, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(F.avg_pool2d(x, 5, 3) if self.pools else x)
        return self.classifier(self.dropout(self.hidden(x.flatten(1))))
