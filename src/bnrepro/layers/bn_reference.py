"""Batch normalisation as the paper prints it: Alg. 1 forward, and the chain rule of Sec. 3 written out backward.

Slow and plain on purpose: it is what the fast layer is held against.
"""

import torch
from torch import Tensor
from torch.autograd import Function

from bnrepro.layers.batch_norm import BatchNorm, check_axes, widened
from bnrepro.layers.registry import register


def _statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The first three lines of Alg. 1: mean, biased variance and x-hat of a mini-batch (m, C)."""
    m = x.shape[0]
    mean = x.sum(0) / m
    variance = ((x - mean) ** 2).sum(0) / m
    return mean, variance, (x - mean) / torch.sqrt(variance + eps)


class BatchNormTransform(Function):
    """y = BN_{gamma,beta}(x) over a mini-batch x of shape (m, C); gamma and beta of shape (C,).

    The backward pass takes the statistics from x again, so that it can itself be differentiated.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """Alg. 1; also returns the mini-batch's mean and biased variance, each (C,)."""
        mean, variance, x_hat = _statistics(x, eps)
        return gamma * x_hat + beta, mean, variance

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Tensor, Tensor, float], output: tuple[Tensor, Tensor, Tensor]) -> None:
        """Keep x, gamma and eps for the backward pass."""
        x, gamma, _, ctx.eps = inputs
        ctx.save_for_backward(x, gamma)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx, dy: Tensor, *_) -> tuple[Tensor, Tensor, Tensor, None]:
        """The six derivatives of Sec. 3, in the paper's order and un-simplified."""
        x, gamma = ctx.saved_tensors
        m = x.shape[0]
        mean, variance, x_hat = _statistics(x, ctx.eps)
        inv_std = (variance + ctx.eps) ** -0.5
        d_x_hat = dy * gamma
        d_variance = (d_x_hat * (x - mean) * -0.5 * inv_std**3).sum(0)
        d_mean = (d_x_hat * -inv_std).sum(0) + d_variance * (-2 * (x - mean)).sum(0) / m
        dx = d_x_hat * inv_std + d_variance * 2 * (x - mean) / m + d_mean / m
        d_gamma = (dy * x_hat).sum(0)
        d_beta = dy.sum(0)
        return dx, d_gamma, d_beta, None


class ReferenceBatchNorm(BatchNorm):
    """`BatchNorm` with its training transform replaced by `BatchNormTransform`; same parameters, buffers and modes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        check_axes(x)
        flat = x.movedim(1, -1)
        rows = widened(flat.reshape(-1, self.num_features))
        gamma = torch.ones_like(rows[0]) if self.weight is None else widened(self.weight)
        beta = torch.zeros_like(rows[0]) if self.bias is None else widened(self.bias)
        y, mean, variance = BatchNormTransform.apply(rows, gamma, beta, self.eps)
        self._track(mean.detach(), variance.detach(), m=rows.shape[0])
        return y.to(x.dtype).reshape(flat.shape).movedim(-1, 1)


@register("bn_reference")
def _build(num_features, *, spatial, eps, ema_decay, affine):
    return ReferenceBatchNorm(num_features, eps=eps, momentum=1 - ema_decay, affine=affine)
