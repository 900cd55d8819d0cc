"""Layers of S networks of one shape trained side by side, each exactly as it would be alone.

Activations are feature-major, (S, C, N). A batch normaliser then reads the N values of a feature from contiguous
memory, and S networks look to it like one network of S*C features. The state of network k is chunk k of every tensor
along its first axis, so states are split by ``chunk`` and joined by ``cat``.

On the CPU every operation here gives network k the same bits whatever S is (tests/test_stacking.py).
"""

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.config.seeding import draws


class _Affine(Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        if x.transpose(1, 2).is_contiguous():  # images, for which this order is a tenth faster on the CPU
            y = torch.bmm(x.transpose(1, 2), weight.transpose(1, 2)).transpose(1, 2)
            return y.contiguous() if bias is None else y + bias
        return torch.bmm(weight, x) if bias is None else torch.baddbmm(bias, weight, x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        dx = torch.bmm(weight.transpose(1, 2), grad) if ctx.needs_input_grad[0] else None
        d_bias = grad.sum(2, keepdim=True) if ctx.has_bias else None
        return dx, torch.bmm(grad, x.transpose(1, 2)), d_bias


class StackedLinear(nn.Module):
    """(S, in, N) -> (S, out, N), with weight (S, out, in) and bias (S, out, 1)."""

    def __init__(self, stack: int, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(stack, out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(stack, out_features, 1)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return _Affine.apply(x, self.weight, self.bias)


def can_stack(norm: nn.Module | None) -> bool:
    """Return whether a normaliser can serve several networks, whose features it gets concatenated.

    A batch normaliser can, because it takes each feature by itself. Another one must keep the networks apart, and says
    so by an attribute ``stack``, the number of networks. One that draws random numbers cannot: all networks would share
    one stream.
    """
    if norm is None:
        return True
    return not draws(norm) and (isinstance(norm, _BatchNorm) or hasattr(norm, "stack"))


class StackedNorm(nn.Module):
    """Apply a normaliser of S*C features to activations (S, C, N); a ValueError if it cannot serve S networks.

    A batch normaliser gets them as (1, S*C, N), without a copy where they are contiguous. Any other gets (N, S*C), and
    so does one that draws random numbers, for which the samples have to be the first axis.
    """

    def __init__(self, norm: nn.Module, stack: int = 1):
        super().__init__()
        if stack > 1 and not can_stack(norm):
            raise ValueError(f"{type(norm).__name__} cannot tell {stack} networks apart: see `can_stack`")
        self.norm, self.by_feature = norm, isinstance(norm, _BatchNorm) and can_stack(norm)
        if hasattr(norm, "stack"):
            norm.stack = stack

    def forward(self, x: Tensor) -> Tensor:
        if self.by_feature:
            return self.norm(x.reshape(1, -1, x.shape[-1]).contiguous()).view(x.shape)
        examples = x.permute(2, 0, 1).reshape(x.shape[-1], -1)
        return self.norm(examples).T.contiguous().view(x.shape)


class _RowwiseSigmoid(Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        # The vectorised exponential rounds the last few elements of a row differently from the rest. Rows padded in
        # memory are never merged into one, so that each network's last elements are those that it would have alone.
        rows = x.reshape(x.shape[0], -1)
        length = rows.shape[1]
        padded = x.new_empty(rows.shape[0], (length // 16 + 1) * 16)
        y = torch.sigmoid(rows, out=padded.narrow(1, 0, length)).view(x.shape)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        grad = grad.contiguous()  # a normaliser of (N, C) may follow: the order of sums must not depend on S
        return torch.ops.aten.sigmoid_backward(grad, y)


class StackedSigmoid(nn.Module):
    """The logistic sigmoid of (S, C, N)."""

    def forward(self, x: Tensor) -> Tensor:
        return _RowwiseSigmoid.apply(x)


def split_state(state: dict[str, Tensor], stack: int) -> list[dict[str, Tensor]]:
    """Return each network's own state from that of a stack. Tensors without axes belong to all networks."""
    return [
        {name: (t if t.dim() == 0 else t.chunk(stack)[k]).clone() for name, t in state.items()} for k in range(stack)
    ]


def join_states(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the state of a stack: the inverse of `split_state`."""
    return {name: (t if t.dim() == 0 else torch.cat([s[name] for s in states])) for name, t in states[0].items()}
