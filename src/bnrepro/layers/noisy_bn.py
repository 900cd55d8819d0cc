"""Batch normalisation followed by noise (Santurkar et al. 2018, arXiv:1805.11604): unstable inputs on purpose."""

from typing import Any, Self

import torch
from torch import Tensor

from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.registry import register

MEAN, DEVIATION = 0.5, 1.25  # n_mu and n_sigma: the largest shift and scale of an activation; our choice
MEAN_SPREAD, DEVIATION_SPREAD = 0.1, 0.1  # r_mu and r_sigma: how far the samples of one step differ


class NoisyBatchNorm(BatchNorm):
    """y = s z + m with z of `BatchNorm` and, in training mode only, random s and m for each activation and sample.

    At each pass activation j draws mu_j ~ U(-n_mu, n_mu) and sigma_j ~ U(1, n_sigma). Its value in sample i then draws
    m_ij ~ U(mu_j - r_mu, mu_j + r_mu) and s_ij ~ N(sigma_j, r_sigma). So the noise has a non-zero mean and a variance
    other than one, and both change at every step, as in the control of Santurkar et al. Our choices are the constants,
    and that an activation of maps (N, C, H, W) is a channel at one position.

    All draws come from torch's global stream, which the training loop seeds (`config.seeding.draws`). One layer
    therefore cannot serve several networks side by side. The order of the draws is (N, C) or (N, H, W, C), the memory
    layout in which networks train here, whatever the layout of the input.

    Inference has no noise. With ``noise_in_statistics=False`` the layer adds none either while Alg. 2 takes the
    statistics of inference (`bnrepro.training.population.population_statistics` sets ``taking_statistics`` then).
    """

    random = True
    noise_in_statistics = True
    taking_statistics = False

    @classmethod
    def build(cls, num_features: int, *, noise_in_statistics: bool = True, **options: Any) -> Self:
        """Build the layer for `build_norm`."""
        layer = super().build(num_features, **options)
        layer.noise_in_statistics = noise_in_statistics
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Normalise activations (N, C, *) and add the noise."""
        z = super().forward(x)
        if not self.training or (self.taking_statistics and not self.noise_in_statistics):
            return z
        layout = torch.channels_last if z.dim() == 4 else torch.contiguous_format
        with torch.no_grad():
            mu = torch.empty_like(z[:1], memory_format=layout).uniform_(-MEAN, MEAN)
            sigma = torch.empty_like(z[:1], memory_format=layout).uniform_(1, DEVIATION)
            m = mu + torch.empty_like(z, memory_format=layout).uniform_(-MEAN_SPREAD, MEAN_SPREAD)
            s = sigma + torch.empty_like(z, memory_format=layout).normal_(0, DEVIATION_SPREAD)
        return s * z + m


register("noisy_bn")(NoisyBatchNorm.build)
