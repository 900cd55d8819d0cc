"""Batch normalisation that the gradient does not see: what Sec. 2 of the paper warns of, as a control."""

import torch.nn.functional as F
from torch import Tensor

from bnrepro.layers.batch_norm import BatchNorm, widened
from bnrepro.layers.registry import register


class StopGradientBatchNorm(BatchNorm):
    """The values of `BatchNorm`; its batch's mean and variance are constants to the gradient.

    dx = gamma / sqrt(Var + eps) dy, without the terms through the statistics, which make `BatchNorm`'s dx sum to zero
    over the batch and be orthogonal to x-hat. Descent then moves weights in directions that the normalisation takes
    out again (Sec. 2, where it is the mean alone and a bias).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Activations (N, C, *) of any number of positions; ValueError for fewer than two axes."""
        if not self.training:
            return super().forward(x)
        mean, variance, m = self.moments(x)
        self._track(mean, variance, m)
        # The kernel of evaluation mode takes statistics as constants, here the batch's own.
        gamma, beta = (None if p is None else widened(p) for p in (self.weight, self.bias))
        return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=self.eps)


@register("bn_stop_gradient")
def _build(num_features, *, spatial, eps, ema_decay, affine):
    return StopGradientBatchNorm(num_features, eps=eps, momentum=1 - ema_decay, affine=affine)
