"""Batch normalisation at PyTorch's speed: `torch.nn.BatchNorm` without its fixed number of axes."""

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.layers.registry import register

HALF = (torch.bfloat16, torch.float16)


def widened(x: Tensor) -> Tensor:
    """x in a precision that moments can be taken in: at least float32."""
    return x.float() if x.dtype in HALF else x


def pooled_axes(x: Tensor) -> list[int]:
    """Axes of (N, C, *) that a feature's statistics are over: all but the second."""
    return [axis for axis in range(x.dim()) if axis != 1]


def unbiased(variance: Tensor, m: int) -> Tensor:
    """Bessel's correction of a biased variance of m values."""
    return variance * m / (m - 1)


def check_axes(x: Tensor) -> None:
    """Refuse anything but (N, C, *).

    Raises:
        ValueError: fewer than two axes.
    """
    if x.dim() < 2:
        raise ValueError(f"expected (N, C, *), got {list(x.shape)}")


class BatchNorm(nn.BatchNorm2d):
    """Paper Alg. 1 over (N, C, *): mean and biased variance of each feature over all the other axes.

    Dense activations (N, C) give statistics over m = N values; maps (N, C, H, W) give m' = N*H*W with one gamma and
    beta a map (Sec. 3.2). In training mode the batch's own statistics are used and a moving average of the mean and the
    unbiased variance is kept; in evaluation mode the stored statistics make a fixed affine map (Alg. 2).

    It is a `torch.nn.BatchNorm2d` by class alone: tools look for that class when they freeze or convert normalisers.

    A constant channel gives beta only up to rounding, as in PyTorch: in float32 one of 1e4 everywhere is 0.03 off at
    eps = 1e-5, because the kernel computes x scale + (beta - mean scale).
    """

    def _check_input_dim(self, x: Tensor) -> None:
        check_axes(x)

    def forward(self, x: Tensor) -> Tensor:
        """PyTorch's own; a symbolic trace keeps the layer whole, as it keeps PyTorch's, so that it keeps its modes."""
        if not torch.jit.is_scripting():
            if isinstance(x, torch.fx.Proxy):
                return x.tracer.create_proxy("call_module", x.tracer.path_of_module(self), (x,), {})
            return super().forward(x)
        check_axes(x)  # TorchScript has no super()
        if self.training:
            self.num_batches_tracked.add_(1)
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, self.weight, self.bias, self.training, self.momentum, self.eps)

    @torch.no_grad()
    def moments(self, x: Tensor) -> tuple[Tensor, Tensor, int]:
        """Mean and biased variance of a mini-batch (N, C, *), each (C,), and m, the number of values behind each.

        They are constants to the gradient, for normalisers here that compute their own statistics.

        Raises:
            ValueError: fewer than two axes.
        """
        self._check_input_dim(x)
        variance, mean = torch.var_mean(widened(x), pooled_axes(x), correction=0)
        return mean, variance, x.numel() // self.num_features

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, m: int) -> None:
        """Move the running mean and the unbiased running variance; ``momentum=None`` averages all batches alike.

        A layer without running statistics, as `torch.func.replace_all_batch_norm_modules_` leaves it, moves nothing.

        Raises:
            ValueError: a single value has no unbiased variance.
        """
        if m < 2:
            raise ValueError("expected more than one value of each feature in training")
        if self.running_mean is None:
            return
        self.num_batches_tracked += 1
        weight = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(unbiased(variance, m).to(self.running_var.dtype), weight)


@register("bn")
def _build(num_features, *, spatial, eps, ema_decay, affine):
    return BatchNorm(num_features, eps=eps, momentum=1 - ema_decay, affine=affine)
