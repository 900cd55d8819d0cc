"""Triton kernels of `bnrepro.models.stacked_images`: columns of a convolution, and batch normalisation."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # positions that one program takes, at most


def _warps(block: int) -> int:
    return min(8, max(1, block // 256))


@triton.jit
def _columns(
    x,
    out,
    positions,
    height: tl.constexpr,
    width: tl.constexpr,
    rows: tl.constexpr,
    across: tl.constexpr,
    kernel: tl.constexpr,
    stride: tl.constexpr,
    block: tl.constexpr,
):
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
    """As `bnrepro.models.stacked_images.columns`."""
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
def _normalise(x, weight, bias, average, variance, y, means, scales, count, momentum, eps, block: tl.constexpr):
    row = tl.program_id(0)
    place = tl.arange(0, block)
    mask = place < count
    offset = row.to(tl.int64) * count + place
    values = tl.load(x + offset, mask=mask, other=0.0)
    mean = tl.sum(values, 0) / count
    centred = tl.where(mask, values - mean, 0.0)
    squares = tl.sum(centred * centred, 0)
    scale = 1.0 / tl.sqrt(squares / count + eps)
    result = centred * (scale * tl.load(weight + row)) + tl.load(bias + row)
    tl.store(y + offset, result, mask=mask)
    tl.store(means + row, mean)
    tl.store(scales + row, scale)
    tl.store(average + row, (1 - momentum) * tl.load(average + row) + momentum * mean)
    tl.store(variance + row, (1 - momentum) * tl.load(variance + row) + momentum * squares / (count - 1))


@triton.jit
def _normalise_backward(x, grad, weight, means, scales, dx, d_weight, d_bias, count, block: tl.constexpr):
    row = tl.program_id(0)
    place = tl.arange(0, block)
    mask = place < count
    offset = row.to(tl.int64) * count + place
    scale = tl.load(scales + row)
    normal = tl.where(mask, (tl.load(x + offset, mask=mask, other=0.0) - tl.load(means + row)) * scale, 0.0)
    own = tl.load(grad + offset, mask=mask, other=0.0)
    total, product = tl.sum(own, 0), tl.sum(own * normal, 0)
    result = scale * tl.load(weight + row) * (own - total / count - normal * product / count)
    tl.store(dx + offset, result, mask=mask)
    tl.store(d_weight + row, product)
    tl.store(d_bias + row, total)


class BatchNormalise(torch.autograd.Function):
    """Paper Alg. 1 of each row of x (features, m), moving averages updated in place."""

    @staticmethod
    def forward(ctx, x, weight, bias, average, variance, momentum, eps):
        x = x.contiguous()
        features, count = x.shape
        y, block = torch.empty_like(x), triton.next_power_of_2(count)
        means, scales = x.new_empty(features), x.new_empty(features)
        arguments = x, weight, bias, average, variance, y, means, scales, count, momentum, eps, block
        _normalise[(features,)](*arguments, num_warps=_warps(block))
        ctx.save_for_backward(x, weight, means, scales)
        return y

    @staticmethod
    def backward(ctx, grad):
        x, weight, means, scales = ctx.saved_tensors
        grad, (features, count) = grad.contiguous(), x.shape
        dx, block = torch.empty_like(x), triton.next_power_of_2(count)
        d_weight, d_bias = torch.empty_like(weight), torch.empty_like(weight)
        arguments = x, grad, weight, means, scales, dx, d_weight, d_bias, count, block
        _normalise_backward[(features,)](*arguments, num_warps=_warps(block))
        return dx, d_weight, d_bias, None, None, None, None
