"""Convolutional networks of one shape side by side, for a GPU that one of them cannot fill.

Activations are (S, C, N, H, W): network, channel, image, position. A convolution is then one batched matrix product
with the weights of each network, and a batch normaliser sees one network of S*C features; neither copies its input.
Every parameter and buffer of a stack is (S, ...), the networks' own in order.
"""

import copy
from collections.abc import Container, Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.layers.lrn import LocalResponseNorm
from bnrepro.models.convolution import AveragePool, ConvUnit, MaxPool


def columns(x: Tensor, kernel: int, stride: int) -> Tensor:
    """What a convolution sees at each position, zeros around the map: (S, C*kernel*kernel, N*h*w)."""
    if kernel == stride == 1:
        return x.flatten(2)
    if x.is_cuda:
        from bnrepro.models import stacked_kernels  # Triton is where CUDA is

        return stacked_kernels.columns(x, kernel, stride)
    padding = kernel // 2
    windows = F.pad(x, (padding,) * 4).unfold(3, kernel, stride).unfold(4, kernel, stride)
    windows = windows.permute(0, 1, 5, 6, 2, 3, 4)
    return windows.reshape(x.shape[0], x.shape[1] * kernel * kernel, -1)


class _Convolution(Function):
    """Products of columns (S, C*k*k, N*h*w) and weights (S, O, C/groups, k, k); zeros around a map keep its size."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: int, groups: int) -> Tensor:
        stack, _, images, height, width = x.shape
        seen = columns(x, weight.shape[-1], stride)
        ctx.save_for_backward(seen, weight)
        ctx.shape, ctx.stride, ctx.groups = x.shape, stride, groups
        y = torch.bmm(_by_group(weight, groups), seen.reshape(stack * groups, -1, seen.shape[2]))
        return y.view(stack, weight.shape[1], images, (height - 1) // stride + 1, (width - 1) // stride + 1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        seen, weight = ctx.saved_tensors
        stack, groups = len(weight), ctx.groups
        by_group = grad.reshape(stack * groups, weight.shape[1] // groups, -1)
        seen = seen.reshape(stack * groups, -1, seen.shape[2])
        d_weight = torch.bmm(by_group, seen.mT).view(weight.shape)
        if not ctx.needs_input_grad[0]:
            return None, d_weight, None, None
        if ctx.stride > 1:
            spread = grad.new_zeros(*grad.shape[:3], *ctx.shape[3:])
            spread[..., :: ctx.stride, :: ctx.stride] = grad
            grad = spread
        grouped = weight.unflatten(1, (groups, -1)).transpose(2, 3).flatten(-2).flip(-1)  # (S, groups, C, O, k*k)
        seen = columns(grad, weight.shape[-1], 1).reshape(stack * groups, grouped[0, 0, 0].numel(), -1)
        dx = torch.bmm(grouped.reshape(stack * groups, grouped.shape[2], -1), seen)
        return dx.view(ctx.shape), d_weight, None, None


def _by_group(weight: Tensor, groups: int) -> Tensor:
    """(S, O, C, k, k) as matrices (S*groups, O/groups, C*k*k)."""
    return weight.reshape(len(weight) * groups, weight.shape[1] // groups, -1)


class _Stacked(nn.Module):
    """Holds parameters of one layer of each network under the layer's own names.

    Args:
        own: the layer of each network; all alike but for their values.
        names: of the parameters.
    """

    def __init__(self, own: list[nn.Module], names: list[str]):
        super().__init__()
        for name in names:
            values = torch.stack([layer.get_parameter(name).detach() for layer in own])
            self.register_parameter(name, nn.Parameter(values))


class Convolution(_Stacked):
    """(S, C, N, H, W) to (S, O, N, h, w), without the bias, which `Unit` has."""

    def __init__(self, own: list[nn.Conv2d]):
        super().__init__(own, ["weight"])
        self.stride, self.groups = own[0].stride[0], own[0].groups

    def forward(self, x: Tensor) -> Tensor:
        return _Convolution.apply(x, self.weight, self.stride, self.groups)


class ConvolutionUnit(nn.Sequential):
    """`ConvUnit` of each network."""

    def __init__(self, own: list[ConvUnit]):
        super().__init__()
        if hasattr(own[0], "depthwise"):
            self.depthwise = Convolution([unit.depthwise for unit in own])
        self.conv = Convolution([unit.conv for unit in own])
        self.norm = Unit(own)


class Linear(_Stacked):
    """(S, C, N) to (S, O, N)."""

    def __init__(self, own: list[nn.Linear]):
        super().__init__(own, ["weight", "bias"])

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, :, None], self.weight, x)


class Unit(_BatchNorm):
    """What follows W u in the `ConvUnit` of each network: a batch normaliser or a bias, then a ReLU or a sigmoid.

    A network without normalisers has a weight of 1 here that nothing moves, and its bias in the place of beta. Of
    per-activation normalisers each position of (S, C, N, H, W) counts as a channel.

    Args:
        own: the units of all networks; the normalisers among them have one momentum and one epsilon.
    """

    def __init__(self, own: list[ConvUnit]):
        norms = [getattr(unit, "norm", None) for unit in own]
        first = next((norm for norm in norms if norm is not None), None)
        like = own[0].conv.weight
        features = first.num_features if first is not None else own[0].conv.out_channels
        options = (first.eps, first.momentum) if first is not None else (1e-3, 0.1)
        super().__init__(features, *options, device=like.device, dtype=like.dtype)
        self.per_activation = bool(getattr(first, "spatial", ()))
        shape = len(own), features
        weight, bias = torch.ones(shape, dtype=like.dtype), torch.zeros(shape, dtype=like.dtype)
        self.running_mean, self.running_var = torch.zeros_like(bias), torch.ones_like(bias)
        for k, (unit, norm) in enumerate(zip(own, norms, strict=True)):
            bias[k] = unit.conv.bias.detach() if norm is None else norm.bias.detach()
            if norm is not None:
                weight[k] = norm.weight.detach()
                self.running_mean[k], self.running_var[k] = norm.running_mean, norm.running_var
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        sigmoids = [isinstance(unit.nonlinearity, nn.Sigmoid) for unit in own]
        self.register_buffer("normalised", torch.tensor([n is not None for n in norms], dtype=torch.int32), False)
        self.register_buffer("sigmoid", torch.tensor(sigmoids, dtype=torch.int32), False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        if self.per_activation:
            x = x.movedim(2, -1)
        features = x.reshape(len(x), self.num_features, -1)
        y = (self._trained(features) if self.training else self._evaluated(features)).view(x.shape)
        return y.movedim(-1, 2) if self.per_activation else y

    def _trained(self, x: Tensor) -> Tensor:
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        if x.is_cuda:
            from bnrepro.models import stacked_kernels  # Triton is where CUDA is

            kinds = self.normalised, self.sigmoid
            statistics = self.running_mean, self.running_var
            return stacked_kernels.Unit.apply(x, self.weight, self.bias, *kinds, *statistics, momentum, self.eps)
        means, variances = self.running_mean.flatten().clone(), self.running_var.flatten().clone()
        affine = self.weight.flatten(), self.bias.flatten()
        rows = x.reshape(1, -1, x.shape[2])
        normal = F.batch_norm(rows, means, variances, *affine, True, momentum, self.eps).view(x.shape)
        with torch.no_grad():
            normalised = self.normalised[:, None].bool()
            self.running_mean.copy_(torch.where(normalised, means.view_as(self.running_mean), self.running_mean))
            self.running_var.copy_(torch.where(normalised, variances.view_as(self.running_var), self.running_var))
        return self._activated(torch.where(normalised[..., None], normal, x + self.bias[..., None]))

    def _evaluated(self, x: Tensor) -> Tensor:
        normalised = self.normalised[:, None].bool()
        scale = torch.where(normalised, self.weight * (self.running_var + self.eps).rsqrt(), 1)
        shift = torch.where(normalised, self.bias - self.running_mean * scale, self.bias)
        return self._activated(torch.addcmul(shift[..., None], x, scale[..., None]))

    def _activated(self, z: Tensor) -> Tensor:
        return torch.where(self.sigmoid[:, None, None].bool(), z.sigmoid(), z.relu())


class Dropout(nn.Module):
    """`torch.nn.Dropout` with a rate for each network."""

    def __init__(self, own: list[nn.Dropout]):
        super().__init__()
        self.register_buffer("rate", torch.tensor([layer.p for layer in own]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        rate = self.rate.view(-1, *[1] * (x.dim() - 1))
        return torch.where(torch.rand_like(x) < rate, 0, x / (1 - rate))


class Response(nn.Module):
    """`LocalResponseNorm` of each network; one without it, whose layer is an identity, gets a strength of 0."""

    def __init__(self, own: list[nn.Module]):
        super().__init__()
        like = next(layer for layer in own if isinstance(layer, LocalResponseNorm)).band
        bands = [layer.band if isinstance(layer, LocalResponseNorm) else torch.zeros_like(like) for layer in own]
        self.register_buffer("band", torch.stack(bands)[..., 0, 0], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        squares = torch.bmm(self.band, (x * x).flatten(2)).view(x.shape)
        r = (1 + squares).rsqrt()
        return x * (r * r.sqrt())


class MaximumPooling(nn.Module):
    """`MaxPool`, which knows no networks, of the maps of all of them."""

    def __init__(self, own: list[MaxPool]):
        super().__init__()
        self.pool = own[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class AveragePooling(nn.Module):
    """`AveragePool` as a product with a matrix, which takes a fifth of its time on a GPU."""

    def __init__(self, own: list[AveragePool]):
        super().__init__()
        self.pool = own[0]
        self.matrices: dict[tuple, Tensor] = {}  # by the width of the map, precision and device

    def forward(self, x: Tensor) -> Tensor:
        key = x.shape[-1], x.dtype, x.device
        if key not in self.matrices:
            size = x.shape[-1]
            pixels = torch.eye(size * size, dtype=x.dtype, device=x.device).view(-1, 1, size, size)
            self.matrices[key] = self.pool(pixels).flatten(1)
        return (x.flatten(-2) @ self.matrices[key]).view(x.shape)


def stack_networks(networks: list[nn.Module]) -> nn.Module:
    """One network that computes all of these; images (3, N, H, W) each, as (S, 3, N, H, W), to logits (S, classes, N).

    They may differ in values, in rates of dropout, in whether they have batch normalisation and local response
    normalisation, and in having ReLUs or sigmoids.
    """
    whole = copy.deepcopy(networks[0])
    inside = "-"  # of which module, replaced already
    for name, first in networks[0].named_modules():
        if name.startswith(inside):
            continue
        replacement = _replacement(first, [network.get_submodule(name) for network in networks])
        if replacement is None:
            continue
        inside = f"{name}."
        parent, _, attribute = name.rpartition(".")
        setattr(whole.get_submodule(parent), attribute, replacement)
    return whole


def _replacement(first: nn.Module, own: list[nn.Module]) -> nn.Module | None:
    """What stands in a stack for a layer; None for one that takes stacked activations as it is."""
    if any(isinstance(layer, LocalResponseNorm) for layer in own):
        return Response(own)
    kinds = {
        ConvUnit: ConvolutionUnit,
        nn.Linear: Linear,
        nn.Dropout: Dropout,
        MaxPool: MaximumPooling,
        AveragePool: AveragePooling,
    }
    return kinds[type(first)](own) if type(first) in kinds else None


def stacked_name(name: str, names: Container[str]) -> str:
    """Where a stack has what a network alone has under a name: a convolution's bias is in what follows it."""
    return name if name in names else name.replace(".conv.bias", ".norm.bias")


def own_state(state: Mapping[str, Tensor], k: int, names: Iterable[str]) -> dict[str, Tensor]:
    """Network k's part of a state of the stack by its own names; tensors without axes are shared by all."""
    parts = {name: state[stacked_name(name, state)] for name in names}
    return {name: (t if t.dim() == 0 else t[k]).detach().clone() for name, t in parts.items()}
