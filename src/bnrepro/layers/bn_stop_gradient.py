"""Batch normalisation with statistics that are constants to the gradient: what Sec. 2 warns of, as a control."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.layers.batch_norm import BatchNorm, widened
from bnrepro.layers.registry import register


class StopGradientBatchNorm(BatchNorm):
    """`BatchNorm` forward, with dx = gamma / sqrt(Var + eps) dy backward.

    The terms through the mean and the variance are missing. In `BatchNorm` they make dx sum to zero over the batch and
    be orthogonal to x-hat. Without them descent also moves the weights in directions that the normalisation undoes
    (Sec. 2 has the example of the mean and a bias).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise activations (N, C, *)."""
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        with torch.no_grad():
            variance, mean = torch.var_mean(widened(x), [0, *range(2, x.dim())], correction=0)
        self._track(mean, variance, x.numel() // self.num_features)
        gamma, beta = (None if p is None else widened(p) for p in (self.weight, self.bias))
        # The kernel of evaluation mode takes any statistics as constants.
        return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=self.eps)


register("bn_stop_gradient")(StopGradientBatchNorm.build)
