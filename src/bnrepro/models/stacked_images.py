"""Convolutional networks of one shape side by side, for a GPU that one of them cannot fill.

Activations are (S, C, N, H, W): network, channel, image, position. A convolution is then one batched matrix product
with the weights of each network, and a batch normaliser sees one network of S*C features; neither copies its input.
Every parameter and buffer of a stack is (S, ...), the networks' own in order.
"""

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.errors import UserError
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.lrn import LocalResponseNorm
from bnrepro.layers.per_activation import PerActivationBatchNorm


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
    """Holds the parameters of one layer of each network under the layer's own names.

    Args:
        own: the layer of each network; all alike but for their values.
    """

    def __init__(self, own: list[nn.Module]):
        super().__init__()
        for name, _ in own[0].named_parameters():
            values = torch.stack([layer.get_parameter(name).detach() for layer in own])
            self.register_parameter(name, nn.Parameter(values))


class Convolution(_Stacked):
    """(S, C, N, H, W) to (S, O, N, h, w)."""

    def __init__(self, own: list[nn.Conv2d]):
        super().__init__(own)
        self.stride, self.groups, self.has_bias = own[0].stride[0], own[0].groups, own[0].bias is not None

    def forward(self, x: Tensor) -> Tensor:
        y = _Convolution.apply(x, self.weight, self.stride, self.groups)
        return y + self.bias[:, :, None, None, None] if self.has_bias else y


class Linear(_Stacked):
    """(S, C, N) to (S, O, N)."""

    def __init__(self, own: list[nn.Linear]):
        super().__init__(own)
        self.has_bias = own[0].bias is not None

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, :, None], self.weight, x) if self.has_bias else torch.bmm(self.weight, x)


class BatchNormalisation(_BatchNorm):
    """The batch normaliser of each network, (S, C, N, ...): per channel, or per channel and position.

    Args:
        own: `BatchNorm` or `PerActivationBatchNorm`, one of each network.
    """

    def __init__(self, own: list[BatchNorm]):
        first = own[0]
        super().__init__(first.num_features, first.eps, first.momentum, first.affine)
        self.per_activation = bool(getattr(first, "spatial", ()))
        for name, _ in first.named_parameters():
            values = torch.stack([norm.get_parameter(name).detach() for norm in own])
            self.register_parameter(name, nn.Parameter(values))
        self.running_mean = torch.stack([norm.running_mean for norm in own])
        self.running_var = torch.stack([norm.running_var for norm in own])

    def forward(self, x: Tensor) -> Tensor:
        if self.per_activation:
            return self._normalised(x.movedim(2, -1)).movedim(-1, 2)
        return self._normalised(x)

    def _normalised(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        affine = (self.weight.view(-1), self.bias.view(-1)) if self.affine else (None, None)
        statistics = self.running_mean.view(-1), self.running_var.view(-1)
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        if x.is_cuda and self.training and self.affine:
            from bnrepro.models.stacked_kernels import BatchNormalise

            features = x.reshape(len(statistics[0]), -1)
            return BatchNormalise.apply(features, *affine, *statistics, weight, self.eps).view(x.shape)
        features = x.reshape(1, len(statistics[0]), -1)
        return F.batch_norm(features, *statistics, *affine, self.training, weight, self.eps).view(x.shape)


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


def stack_networks(networks: list[nn.Module]) -> nn.Module:
    """One network that computes all of these; images (3, N, H, W) each, as (S, 3, N, H, W), to logits (S, classes, N).

    They may differ in values, in rates of dropout and in whether they have local response normalisation.
    """
    whole = copy.deepcopy(networks[0])
    done = ""
    for name, first in networks[0].named_modules():
        own = [network.get_submodule(name) for network in networks]
        if (done and name.startswith(done)) or not (replacement := _replacement(first, own)):
            continue
        done = f"{name}."
        parent, _, attribute = name.rpartition(".")
        setattr(whole.get_submodule(parent), attribute, replacement)
    return whole


def _replacement(first: nn.Module, own: list[nn.Module]) -> nn.Module | None:
    """What stands in a stack for a layer; None for one that takes stacked activations as it is."""
    if any(isinstance(layer, LocalResponseNorm) for layer in own):
        return Response(own)
    for kind, stacked in ((nn.Conv2d, Convolution), (nn.Linear, Linear), (nn.Dropout, Dropout)):
        if type(first) is kind:
            return stacked(own)
    if type(first) in (BatchNorm, PerActivationBatchNorm):
        return BatchNormalisation(own)
    if [*first.parameters(recurse=False), *first.buffers(recurse=False)]:
        raise UserError(f"hydra/launcher=gpu_stacks cannot stack networks with {type(first).__name__}; use joblib")
    return None


def own_state(state: Mapping[str, Tensor], k: int) -> dict[str, Tensor]:
    """Network k's part of a state of the stack, as it would be alone; tensors without axes are shared by all."""
    return {name: (t if t.dim() == 0 else t[k]).detach().clone() for name, t in state.items()}
