"""Triton kernels of `bnrepro.models.stacked_layers`: columns of a convolution, and batch normalisation."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # positions that one program takes, at most


def _warps(block: int) -> int:
    return min(8, max(1, block // 256))


@triton.jit
def _columns(
    x, out, positions, height: tl.constexpr, width: tl.constexpr, rows: tl.constexpr, across: tl.constexpr,
    kernel: tl.constexpr, stride: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    line = tl.program_id(0)  # network, channel, row and column of the kernel
    position = tl.program_id(1) * block + tl.arange(0, block)  # image, row and column of the result
    image, place = position // (rows * across), position % (rows * across)
    tap = line % (kernel * kernel)
    i = place // across * stride + tap // kernel - kernel // 2
    j = place % across * stride + tap % kernel - kernel // 2
    inside = (i >= 0) & (i < height) & (j >= 0) & (j < width) & (position < positions)
    images = positions // (rows * across)
    start = (line // (kernel * kernel)).to(tl.int64) * images * height * width
    values = tl.load(x + start + (image * height + i) * width + j, mask=inside, other=0.0)
    tl.store(out + line.to(tl.int64) * positions + position, values, mask=position < positions)


def columns(x: Tensor, kernel: int, stride: int) -> Tensor:
    """As `bnrepro.models.stacked_layers.columns`."""
    x = x.contiguous()
    stack, channels, images, height, width = x.shape
    rows, across = (height - 1) // stride + 1, (width - 1) // stride + 1
    positions = images * rows * across
    out = x.new_empty(stack, channels * kernel * kernel, positions)
    block = min(BLOCK, triton.next_power_of_2(positions))
    grid = stack * channels * kernel * kernel, triton.cdiv(positions, block)
    _columns[grid](x, out, positions, height, width, rows, across, kernel, stride, block, num_warps=_warps(block))
    return out


@triton.jit
def _sigmoid(z):
    return 1.0 / (1.0 + tl.exp(-z))


@triton.jit
def _unit(
    x, weight, bias, normalised, sigmoid, average, variance, y, means, scales,
    channels, count, momentum, eps, block: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    place = tl.arange(0, block)
    mask = place < count
    offset = row.to(tl.int64) * count + place
    values = tl.load(x + offset, mask=mask, other=0.0)
    has_norm = tl.load(normalised + row // channels).to(tl.float32)
    mean = has_norm * tl.sum(values, 0) / count
    values = tl.where(mask, values - mean, 0.0)
    squares = tl.sum(values * values, 0)
    scale = has_norm / tl.sqrt(squares / count + eps) + (1 - has_norm)
    tl.store(means + row, mean)
    tl.store(scales + row, scale)
    share = has_norm * momentum
    tl.store(average + row, (1 - share) * tl.load(average + row) + share * mean)
    tl.store(variance + row, (1 - share) * tl.load(variance + row) + share * squares / (count - 1))
    values = values * (scale * tl.load(weight + row)) + tl.load(bias + row)
    bent = tl.load(sigmoid + row // channels) != 0
    values = tl.where(bent, _sigmoid(values), tl.where(values <= 0, 0.0, values))  # keeps NaN
    tl.store(y + offset, values, mask=mask)


@triton.jit
def _unit_backward(
    x, grad, weight, bias, normalised, sigmoid, means, scales, dx, d_weight, d_bias,
    channels, count, block: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    place = tl.arange(0, block)
    mask = place < count
    offset = row.to(tl.int64) * count + place
    values = tl.load(x + offset, mask=mask, other=0.0)
    gradient = tl.load(grad + offset, mask=mask, other=0.0)
    has_norm = tl.load(normalised + row // channels).to(tl.float32)
    scale, factor = tl.load(scales + row), tl.load(weight + row)
    values = tl.where(mask, (values - tl.load(means + row)) * scale, 0.0)
    z = values * factor + tl.load(bias + row)
    result = _sigmoid(z)
    bent = tl.load(sigmoid + row // channels) != 0
    gradient = tl.where(bent, gradient * result * (1.0 - result), tl.where(z > 0, gradient, 0.0))
    total, product = tl.sum(gradient, 0), has_norm * tl.sum(gradient * values, 0)
    gradient = scale * factor * (gradient - has_norm * total / count - values * product / count)
    tl.store(dx + offset, gradient, mask=mask)
    tl.store(d_weight + row, product)
    tl.store(d_bias + row, total)


class Unit(torch.autograd.Function):
    """What follows W u in each network's unit: batch normalisation (Alg. 1) or a bias, then a ReLU or a sigmoid.

    x (S, C, m), weight, bias, moving average and variance (S, C); ``normalised`` and ``sigmoid`` (S,) int32 say what a
    network has. Moving averages are updated in place.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, normalised, sigmoid, average, variance, momentum, eps):
        x = x.contiguous()
        stack, channels, count = x.shape
        y, block = torch.empty_like(x), triton.next_power_of_2(count)
        means, scales = torch.empty_like(weight), torch.empty_like(weight)
        kinds = normalised, sigmoid
        arguments = x, weight, bias, *kinds, average, variance, y, means, scales, channels, count, momentum, eps, block
        _unit[(stack * channels,)](*arguments, num_warps=_warps(block))
        ctx.save_for_backward(x, weight, bias, *kinds, means, scales)
        return y

    @staticmethod
    def backward(ctx, grad):
        x, weight, bias, normalised, sigmoid, means, scales = ctx.saved_tensors
        grad, (stack, channels, count) = grad.contiguous(), x.shape
        dx, block = torch.empty_like(x), triton.next_power_of_2(count)
        d_weight, d_bias = torch.empty_like(weight), torch.empty_like(weight)
        arguments = x, grad, weight, bias, normalised, sigmoid, means, scales, dx, d_weight, d_bias, channels, count
        _unit_backward[(stack * channels,)](*arguments, block, num_warps=_warps(block))
        return dx, d_weight, d_bias, None, None, None, None, None, None
