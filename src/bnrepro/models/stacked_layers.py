"""Layers of convolutional networks of one shape side by side, each the layers of all networks in one.

Activations are (S, C, N, H, W): network, channel, image, position. A convolution is then one batched matrix product
with the weights of each network, and a batch normaliser sees one network of S*C features. Neither copies its input.
Every parameter and buffer of a stack is (S, ...), in the order of the networks. A layer of a stack is made of
``layers``, the list of this layer of each network. They are alike except for their values and for what
`bnrepro.models.stacked_images.stack_networks` allows.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.layers.lrn import LocalResponseNorm
from bnrepro.models.convolution import AuxiliaryHead, AveragePool, ConvUnit, MaxPool


def columns(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Return the window of a convolution at each position, zeros around the map: (S, C*kernel*kernel, N*h*w)."""
    if kernel == stride == 1:
        return x.flatten(2)
    if x.is_cuda:
        from bnrepro.models import stacked_kernels  # Triton is installed only with CUDA

        return stacked_kernels.columns(x, kernel, stride)
    padding = kernel // 2
    windows = F.pad(x, (padding,) * 4).unfold(3, kernel, stride).unfold(4, kernel, stride)
    return windows.permute(0, 1, 5, 6, 2, 3, 4).reshape(x.shape[0], x.shape[1] * kernel * kernel, -1)


class _Convolution(Function):
    """Products of weights (S, O, C/groups, k, k) and columns (S, C*k*k, N*h*w), by group."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: int, groups: int) -> Tensor:
        stack, _, images, height, width = x.shape
        windows = columns(x, weight.shape[-1], stride)
        ctx.save_for_backward(windows, weight)
        ctx.shape, ctx.stride, ctx.groups = x.shape, stride, groups
        matrices = weight.reshape(stack * groups, weight.shape[1] // groups, -1)
        y = torch.bmm(matrices, windows.reshape(stack * groups, -1, windows.shape[2]))
        return y.view(stack, weight.shape[1], images, (height - 1) // stride + 1, (width - 1) // stride + 1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        windows, weight = ctx.saved_tensors
        stack, groups = len(weight), ctx.groups
        grad_by_group = grad.reshape(stack * groups, weight.shape[1] // groups, -1)
        windows = windows.reshape(stack * groups, -1, windows.shape[2])
        d_weight = torch.bmm(grad_by_group, windows.mT).view(weight.shape)
        if not ctx.needs_input_grad[0]:
            return None, d_weight, None, None
        if ctx.stride > 1:
            spread = grad.new_zeros(*grad.shape[:3], *ctx.shape[3:])
            spread[..., :: ctx.stride, :: ctx.stride] = grad
            grad = spread
        # dx is the convolution of the gradient with the kernels turned around, from output to input channels.
        turned = weight.unflatten(1, (groups, -1)).transpose(2, 3).flatten(-2).flip(-1)  # (S, groups, C, O, k*k)
        windows = columns(grad, weight.shape[-1], 1).reshape(stack * groups, turned[0, 0, 0].numel(), -1)
        dx = torch.bmm(turned.reshape(stack * groups, turned.shape[2], -1), windows)
        return dx.view(ctx.shape), d_weight, None, None


def _stacked(layers: list[nn.Module], name: str) -> nn.Parameter:
    """Return a parameter of each network's layer as one, (S, ...)."""
    return nn.Parameter(torch.stack([layer.get_parameter(name).detach() for layer in layers]))


class Convolution(nn.Module):
    """`nn.Conv2d` of each network, (S, C, N, H, W) to (S, O, N, h, w), without the bias, which `Unit` has."""

    def __init__(self, layers: list[nn.Conv2d]):
        super().__init__()
        self.weight = _stacked(layers, "weight")
        self.stride, self.groups = layers[0].stride[0], layers[0].groups

    def forward(self, x: Tensor) -> Tensor:
        return _Convolution.apply(x, self.weight, self.stride, self.groups)


class ConvolutionUnit(nn.Sequential):
    """`ConvUnit` of each network."""

    def __init__(self, layers: list[ConvUnit]):
        super().__init__()
        if hasattr(layers[0], "depthwise"):
            self.depthwise = Convolution([unit.depthwise for unit in layers])
        self.conv = Convolution([unit.conv for unit in layers])
        self.norm = Unit(layers, [unit.conv for unit in layers])


class Product(nn.Module):
    """`nn.Linear` of each network, (S, C, N) to (S, O, N), without the bias, which `Unit` has."""

    def __init__(self, layers: list[nn.Linear]):
        super().__init__()
        self.weight = _stacked(layers, "weight")

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(self.weight, x)


class Linear(Product):
    """`nn.Linear` of each network, (S, C, N) to (S, O, N)."""

    def __init__(self, layers: list[nn.Linear]):
        super().__init__(layers)
        self.bias = _stacked(layers, "bias")

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, :, None], self.weight, x)


class Unit(_BatchNorm):
    """What follows W u in each network: a batch normaliser or a bias, then a ReLU or a sigmoid.

    The normalisers share one momentum and one epsilon. A network without normalisers has its bias in the place of beta
    and a weight of 1, which has no gradient. Per-activation normalisers count each position as a channel.

    ``layers`` has the normaliser and the nonlinearity of each network, and ``products`` the layer that computes W u.
    """

    def __init__(self, layers: list[nn.Sequential], products: Sequence[nn.Conv2d | nn.Linear]):
        norms = [getattr(unit, "norm", None) for unit in layers]
        first = next((norm for norm in norms if norm is not None), None)
        super().__init__(len(products[0].weight) if first is None else first.num_features)
        if first is not None:
            self.eps, self.momentum = first.eps, first.momentum
        self.per_activation = bool(getattr(first, "spatial", ()))
        unused = nn.BatchNorm2d(self.num_features, dtype=products[0].weight.dtype)
        normal = [unused if norm is None else norm for norm in norms]
        with_bias = [product if norm is None else norm for product, norm in zip(products, norms, strict=True)]
        self.weight, self.bias = _stacked(normal, "weight"), _stacked(with_bias, "bias")
        self.running_mean = torch.stack([norm.running_mean for norm in normal])
        self.running_var = torch.stack([norm.running_var for norm in normal])
        sigmoids = [isinstance(unit.nonlinearity, nn.Sigmoid) for unit in layers]
        self.register_buffer("normalised", torch.tensor([n is not None for n in norms], dtype=torch.int32), False)
        self.register_buffer("sigmoid", torch.tensor(sigmoids, dtype=torch.int32), False)

    def forward(self, x: Tensor) -> Tensor:
        if self.per_activation:
            x = x.movedim(2, -1)
        y = self._by_feature(x.reshape(len(x), self.num_features, -1)).view(x.shape)
        return y.movedim(-1, 2) if self.per_activation else y

    def _by_feature(self, x: Tensor) -> Tensor:
        """Normalise and bend (S, features, m)."""
        mean, variance = self.running_mean, self.running_var
        normalised = self.normalised[:, None].bool()
        if self.training:
            self.num_batches_tracked.add_(1)
            momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            if x.is_cuda:
                from bnrepro.models import stacked_kernels  # Triton is installed only with CUDA

                kinds = self.normalised, self.sigmoid
                return stacked_kernels.Unit.apply(x, self.weight, self.bias, *kinds, mean, variance, momentum, self.eps)
            variance, mean = torch.var_mean(x, 2, correction=0)
            with torch.no_grad():
                share, m = momentum * normalised.to(x.dtype), x.shape[2]
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * m / (m - 1), share)
        scale = torch.where(normalised, self.weight * (variance + self.eps).rsqrt(), 1)
        shift = torch.where(normalised, self.bias - mean * scale, self.bias)
        z = torch.addcmul(shift[..., None], x, scale[..., None])
        return torch.where(self.sigmoid[:, None, None].bool(), z.sigmoid(), z.relu())


class Dropout(nn.Module):
    """`torch.nn.Dropout` of each network, with its own rate."""

    def __init__(self, layers: list[nn.Dropout]):
        super().__init__()
        self.register_buffer("rate", torch.tensor([layer.p for layer in layers]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        rate = self.rate.view(-1, *[1] * (x.dim() - 1))
        return torch.where(torch.rand_like(x) < rate, 0, x / (1 - rate))


class Response(nn.Module):
    """`LocalResponseNorm` of each network; an identity among them becomes one of strength 0."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        like = next(layer.band for layer in layers if isinstance(layer, LocalResponseNorm))
        bands = [getattr(layer, "band", torch.zeros_like(like)) for layer in layers]
        self.register_buffer("band", torch.stack(bands)[..., 0, 0], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        squares = torch.bmm(self.band, (x * x).flatten(2)).view(x.shape)
        r = (1 + squares).rsqrt()
        return x * (r * r.sqrt())


class MaximumPooling(nn.Module):
    """`MaxPool` of the maps of all networks."""

    def __init__(self, layers: list[MaxPool]):
        super().__init__()
        self.pool = layers[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class AveragePooling(nn.Module):
    """`AveragePool` as a product with a matrix, which takes a fifth of the time on a GPU."""

    def __init__(self, layers: list[AveragePool]):
        super().__init__()
        self.pool = layers[0]
        self.matrices: dict[tuple, Tensor] = {}  # by the width of the map, precision and device

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-1]
        key = size, x.dtype, x.device
        if key not in self.matrices:
            pixels = torch.eye(size * size, dtype=x.dtype, device=x.device).view(-1, 1, size, size)
            self.matrices[key] = self.pool(pixels).flatten(1)
        return (x.flatten(-2) @ self.matrices[key]).view(x.shape)


class Head(nn.Module):
    """`AuxiliaryHead` of each network, (S, C, N, H, W) to logits (S, classes, N)."""

    def __init__(self, layers: list[AuxiliaryHead]):
        super().__init__()
        self.pools = layers[0].pools
        self.reduce = ConvolutionUnit([head.reduce for head in layers])
        products, hidden = [head.hidden.linear for head in layers], [head.hidden for head in layers]
        self.hidden = nn.Sequential()
        self.hidden.linear, self.hidden.norm = Product(products), Unit(hidden, products)
        self.dropout = Dropout([head.dropout for head in layers])
        self.classifier = Linear([head.classifier for head in layers])

    def forward(self, x: Tensor) -> Tensor:
        if self.pools:
            x = F.avg_pool2d(x.flatten(0, 1), 5, 3).unflatten(0, x.shape[:2])
        features = self.reduce(x).movedim(2, -1).flatten(1, -2)
        return self.classifier(self.dropout(self.hidden(features)))
