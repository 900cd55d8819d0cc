"""The networks under timm's names: import this module and ``timm.create_model("bn_inception")`` builds them."""

from functools import partial
from typing import Any

from bnrepro.compat import ensure_torchvision
from bnrepro.layers import build_norm
from bnrepro.models.googlenet import GoogLeNet
from bnrepro.models.inception import Inception
from bnrepro.models.trunk import Trunk

ensure_torchvision()
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model  # noqa: E402

SCALED_TO_ONE = (0.5, 0.5, 0.5)  # mean and std: pixels in [-1, 1], as in Google's tf-slim; our choice

default_cfgs = generate_default_cfgs(
    {
        name: {
            "url": "",
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "pool_size": (7, 7),
            "crop_pct": 0.875,
            "interpolation": "bilinear",
            "mean": SCALED_TO_ONE,
            "std": SCALED_TO_ONE,
            "first_conv": "stem.conv1.depthwise",
            "classifier": "classifier",
        }
        for name in ("inception", "bn_inception", "googlenet", "bn_googlenet")
    }
)


def _create(network: type[Trunk], name: str, pretrained: bool, norm: str, options: dict[str, Any]) -> Trunk:
    """Build through timm. ``norm``, ``norm_eps`` and ``ema_decay`` choose the normaliser by name."""
    eps, decay = options.pop("norm_eps", 1e-3), options.pop("ema_decay", 0.9997)
    options.setdefault("norm_layer", partial(build_norm, options.pop("norm", norm), eps=eps, ema_decay=decay))
    return build_model_with_cfg(network, name, pretrained, **options)


@register_model
def inception(pretrained: bool = False, **options) -> Inception:
    """The paper's baseline: Fig. 5 without normalisers, with LRN and 40 % dropout."""
    return _create(Inception, "inception", pretrained, "none", {"lrn": True, "drop_rate": 0.4} | options)


@register_model
def bn_inception(pretrained: bool = False, **options) -> Inception:
    """Fig. 5 with batch normalisation, as BN-x*: neither LRN nor dropout."""
    return _create(Inception, "bn_inception", pretrained, "bn", options)


@register_model
def googlenet(pretrained: bool = False, **options) -> GoogLeNet:
    """GoogLeNet as published: LRN, 40 % dropout, no normalisers."""
    return _create(GoogLeNet, "googlenet", pretrained, "none", {"drop_rate": 0.4} | options)


@register_model
def bn_googlenet(pretrained: bool = False, **options) -> GoogLeNet:
    """GoogLeNet with batch normalisation."""
    return _create(GoogLeNet, "bn_googlenet", pretrained, "bn", {"drop_rate": 0.4} | options)
