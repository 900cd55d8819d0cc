"""Batch normalisation at PyTorch's speed: `torch.nn.BatchNorm2d` for inputs of any number of axes."""

from typing import Self

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.layers.registry import register


def widened(x: Tensor) -> Tensor:
    """Return values of half precision as float32, in which moments can be taken, and all others as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


class BatchNorm(nn.BatchNorm2d):
    """Paper Alg. 1 over (N, C, *): mean and biased variance of each feature over all the other axes.

    Dense activations (N, C) give statistics over m = N values. Maps (N, C, H, W) give m' = N*H*W, with one gamma and
    one beta per map (Sec. 3.2). Training mode uses the statistics of the batch and keeps moving averages of the mean
    and of the unbiased variance. Evaluation mode is a fixed affine map with the stored statistics (Alg. 2).

    The class derives from `torch.nn.BatchNorm2d` because tools look for that class to freeze or convert normalisers.

    A constant channel gives beta only up to rounding, as in PyTorch (docs/choices.md).
    """

    @classmethod
    def build(cls, num_features: int, *, spatial: tuple[int, ...], eps: float, ema_decay: float, affine: bool) -> Self:
        """Build the layer for `build_norm`. PyTorch's momentum is the share of the new value."""
        return cls(num_features, eps=eps, momentum=1 - ema_decay, affine=affine)

    def _check_input_dim(self, x: Tensor) -> None:
        """Raise a ValueError for anything but (N, C, *)."""
        if x.dim() < 2:
            raise ValueError(f"expected (N, C, *), got {list(x.shape)}")

    def forward(self, x: Tensor) -> Tensor:
        """Normalise. A symbolic trace keeps the layer as one node, as it keeps PyTorch's own, with both its modes."""
        if not torch.jit.is_scripting():
            if isinstance(x, torch.fx.Proxy):
                return x.tracer.create_proxy("call_module", x.tracer.path_of_module(self), (x,), {})
            return super().forward(x)
        self._check_input_dim(x)  # TorchScript has no super()
        if self.training:
            self.num_batches_tracked.add_(1)
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, self.weight, self.bias, self.training, self.momentum, self.eps)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, m: int) -> None:
        """Move the running statistics towards the mean and biased variance of a batch, each taken over m values.

        ``momentum=None`` gives the plain average over all batches. A layer that does not track statistics, as
        `torch.func.replace_all_batch_norm_modules_` leaves it, keeps nothing.
        """
        if m < 2:  # a single value has no unbiased variance
            raise ValueError("expected more than one value of each feature in training")
        if not self.track_running_stats:
            return
        self.num_batches_tracked += 1
        weight = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_((variance * m / (m - 1)).to(self.running_var.dtype), weight)


register("bn")(BatchNorm.build)
