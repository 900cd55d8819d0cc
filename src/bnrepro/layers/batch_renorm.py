"""Batch renormalisation (Ioffe 2017, arXiv:1702.03275): in training, too, nearly the moving averages normalise."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.errors import UserError
from bnrepro.layers.batch_norm import BatchNorm, unbiased
from bnrepro.layers.registry import register

D_TIMES, R_TIMES = 5, 8  # the paper's 25,000 and 40,000 steps over its 5,000


class BatchRenorm(BatchNorm):
    """Alg. 1 of the paper over (N, C, *): y = gamma (x_hat r + d) + beta, where x_hat is what `BatchNorm` makes of x.

    With the moving averages mu and sigma, r = sigma_B / sigma within [1 / r_max, r_max] and d = (mu_B - mu) / sigma
    within [-d_max, d_max]; no gradient flows through either. Inside the bounds x_hat r + d = (x - mu) / sigma, which is
    what inference computes; with r_max = 1 and d_max = 0 this is `BatchNorm`. The bounds are those for the first
    ``warmup`` steps, and then widen linearly: ``d_max`` is reached after 5 times as many, ``r_max`` after 8 times
    (Sec. 4: 5,000, 25,000 and 40,000 steps).

    The moving average is of the unbiased variance, as everywhere here, where the paper's is of the standard deviation.
    ``moving_mean`` and ``moving_var`` are what r and d refer to, ``steps`` counts the batches in them. ``running_mean``
    and ``running_var``, which inference uses, are the same while training, and others where Alg. 2 of the BN paper has
    replaced them: it averages over the training network (``momentum`` is then None), which goes by the moving averages.

    Args:
        num_features: C.
        r_max: the final bound of r, at least 1.
        d_max: the final bound of d, at least 0.
        warmup: steps.
        kwargs: of `BatchNorm`.
    """

    def __init__(self, num_features: int, r_max: float = 3.0, d_max: float = 5.0, warmup: int = 5000, **kwargs):
        super().__init__(num_features, **kwargs)
        self.r_max, self.d_max, self.warmup = r_max, d_max, warmup
        self.register_buffer("moving_mean", torch.zeros(num_features))
        self.register_buffer("moving_var", torch.ones(num_features))
        self.register_buffer("steps", torch.tensor(0))

    def bounds(self) -> tuple[Tensor, Tensor]:
        """r_max and d_max of the step that is under way, without waiting for the device."""
        since = self.steps + 1 - self.warmup
        r_share, d_share = (
            (since / max(1, (times - 1) * self.warmup)).clamp(0, 1).to(self.moving_var.dtype)
            for times in (R_TIMES, D_TIMES)
        )
        return 1 + (self.r_max - 1) * r_share, self.d_max * d_share

    @torch.no_grad()
    def correction(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """r and d, (C,) each, for a mini-batch's mean and biased variance."""
        r_max, d_max = self.bounds()
        sigma = (self.moving_var + self.eps).sqrt()
        r = ((variance + self.eps).sqrt() / sigma).clamp(1 / r_max, r_max)
        return r, ((mean - self.moving_mean) / sigma).clamp(-d_max, d_max)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        mean, variance, m = self.moments(x)
        r, d = self.correction(mean, variance)
        # r and d are constants to the gradient, so that they may join gamma and beta in the fast kernel.
        gamma = r if self.weight is None else self.weight * r
        beta = d if self.weight is None else self.weight * d + self.bias
        y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=self.eps)
        self._track(mean, variance, m)
        return y

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, m: int) -> None:
        super()._track(mean, variance, m)
        if self.momentum is not None:
            self.steps += 1
            self.moving_mean.lerp_(mean, self.momentum)
            self.moving_var.lerp_(unbiased(variance, m), self.momentum)


@register("batch_renorm")
def _build(num_features, *, spatial, eps, ema_decay, affine, r_max=3.0, d_max=5.0, warmup=0.04, steps=125_000):
    """``warmup`` is a share of the run's ``steps``; by default they make the paper's 5,000."""
    if r_max < 1 or d_max < 0 or not 0 <= warmup <= 1:
        given = f"norm.r_max={r_max:g}, norm.d_max={d_max:g}, norm.warmup={warmup:g}"
        raise UserError(f"{given}: r_max must be at least 1, d_max at least 0, and warmup a share of the run")
    return BatchRenorm(
        num_features, r_max, d_max, round(warmup * steps), eps=eps, momentum=1 - ema_decay, affine=affine
    )
