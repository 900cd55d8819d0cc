"""Batch normalisation at PyTorch's speed: `torch.nn.BatchNorm` without its fixed number of axes."""

import torch
from torch import Tensor, nn

from bnrepro.layers.registry import register


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Paper Alg. 1 over (N, C, *): mean and biased variance of each feature over all the other axes.

    Dense activations (N, C) give statistics over m = N values; maps (N, C, H, W) give m' = N*H*W with one gamma and
    beta a map (Sec. 3.2). In training mode the batch's own statistics are used and a moving average of the mean and the
    unbiased variance is kept; in evaluation mode the stored statistics make a fixed affine map (Alg. 2).
    """

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() < 2:
            raise ValueError(f"expected (N, C, *), got {tuple(x.shape)}")

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, m: int) -> None:
        """Move the running mean and the unbiased running variance; ``momentum=None`` averages all batches alike.

        For normalisers here that compute their own statistics.
        """
        self.num_batches_tracked += 1
        weight = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance * m / (m - 1), weight)


@register("bn")
def _build(num_features, *, spatial, eps, ema_decay, affine):
    return BatchNorm(num_features, eps=eps, momentum=1 - ema_decay, affine=affine)
