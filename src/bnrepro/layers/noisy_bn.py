"""Batch normalisation with noise behind it (Santurkar et al. 2018, arXiv:1805.11604): unstable inputs on purpose."""

import torch
from torch import Tensor

from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.registry import register

MEAN, DEVIATION = 0.5, 1.25  # n_mu and n_sigma: the widest that an activation is shifted and scaled; our choice
MEAN_SPREAD, DEVIATION_SPREAD = 0.1, 0.1  # r_mu and r_sigma: how far samples of a step differ


class NoisyBatchNorm(BatchNorm):
    """y = s z + m with z of `BatchNorm` and, in training mode only, s and m of each activation and sample.

    At each pass an activation j draws mu_j ~ U(-n_mu, n_mu) and sigma_j ~ U(1, n_sigma); then its value in sample i
    draws m_ij ~ U(mu_j - r_mu, mu_j + r_mu) and s_ij ~ N(sigma_j, r_sigma). So the noise has a mean that is not zero
    and a variance that is not one, and both change at every step, as Santurkar et al. describe their control; the
    constants are our choice, and that in maps (N, C, H, W) an activation is a channel at one position.

    The draws come from torch's global stream, which the training loop seeds (`config.seeding.draws`). That is a single
    stream, so one layer cannot serve several networks side by side. Draws are in the order (N, C) or (N, H, W, C), the
    memory layout in which networks train here, whatever that of the input is.
    """

    random = True

    def forward(self, x: Tensor) -> Tensor:
        """Activations (N, C, *) of N samples; ValueError for fewer than two axes."""
        z = super().forward(x)
        if not self.training:
            return z
        layout = torch.channels_last if z.dim() == 4 else torch.contiguous_format

        def undrawn(like: Tensor) -> Tensor:
            return torch.empty_like(like, memory_format=layout)

        with torch.no_grad():
            mu = undrawn(z[:1]).uniform_(-MEAN, MEAN)
            sigma = undrawn(z[:1]).uniform_(1, DEVIATION)
            m = mu + undrawn(z).uniform_(-MEAN_SPREAD, MEAN_SPREAD)
            s = sigma + undrawn(z).normal_(0, DEVIATION_SPREAD)
        return s * z + m


@register("noisy_bn")
def _build(num_features, *, spatial, eps, ema_decay, affine):
    return NoisyBatchNorm(num_features, eps=eps, momentum=1 - ema_decay, affine=affine)
