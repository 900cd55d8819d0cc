"""Batch normalisation as the paper prints it: Alg. 1 forward, and the chain rule of Sec. 3 written out backward.

It is slow and plain on purpose. The fast layer is compared with it.
"""

import torch
from torch import Tensor
from torch.autograd import Function

from bnrepro.layers.batch_norm import BatchNorm, widened
from bnrepro.layers.registry import register


def _statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean, biased variance and x-hat of a mini-batch (m, C): the first three lines of Alg. 1."""
    m = x.shape[0]
    mean = x.sum(0) / m
    variance = ((x - mean) ** 2).sum(0) / m
    return mean, variance, (x - mean) / torch.sqrt(variance + eps)


class BatchNormTransform(Function):
    """y = BN_{gamma,beta}(x) over a mini-batch x of shape (m, C), with the mean and biased variance; the rest is (C,).

    The backward pass computes the statistics from x again, so that it can itself be differentiated.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance, x_hat = _statistics(x, eps)
        return gamma * x_hat + beta, mean, variance

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Tensor, Tensor, float], output: tuple[Tensor, Tensor, Tensor]) -> None:
        x, gamma, _, ctx.eps = inputs
        ctx.save_for_backward(x, gamma)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx, dy: Tensor, *_) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the derivatives of Sec. 3, in the paper's order and not simplified."""
        x, gamma = ctx.saved_tensors
        m = x.shape[0]
        mean, variance, x_hat = _statistics(x, ctx.eps)
        inv_std = (variance + ctx.eps) ** -0.5
        d_x_hat = dy * gamma
        d_variance = (d_x_hat * (x - mean) * -0.5 * inv_std**3).sum(0)
        d_mean = (d_x_hat * -inv_std).sum(0) + d_variance * (-2 * (x - mean)).sum(0) / m
        dx = d_x_hat * inv_std + d_variance * 2 * (x - mean) / m + d_mean / m
        return dx, (dy * x_hat).sum(0), dy.sum(0), None


class ReferenceBatchNorm(BatchNorm):
    """`BatchNorm` with `BatchNormTransform` in training mode; parameters, buffers and modes are the same."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        channels_last = x.movedim(1, -1)
        rows = widened(channels_last.reshape(-1, self.num_features))
        gamma = torch.ones_like(rows[0]) if self.weight is None else widened(self.weight)
        beta = torch.zeros_like(rows[0]) if self.bias is None else widened(self.bias)
        y, mean, variance = BatchNormTransform.apply(rows, gamma, beta, self.eps)
        self._track(mean.detach(), variance.detach(), m=rows.shape[0])
        return y.to(x.dtype).reshape(channels_last.shape).movedim(-1, 1)


register("bn_reference")(ReferenceBatchNorm.build)
