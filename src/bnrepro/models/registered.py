"""The networks under timm's names: import this module, and ``timm.create_model("bn_inception")`` builds them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.compat import ensure_torchvision
from bnrepro.layers import build_norm, norm_options
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models import digits, ports
from bnrepro.models.googlenet import GoogLeNet
from bnrepro.models.inception import Inception
from bnrepro.models.trunk import Trunk

ensure_torchvision()
import timm  # noqa: E402
from timm.layers import register_notrace_module  # noqa: E402
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model, save_for_hf  # noqa: E402

register_notrace_module(BatchNorm)  # timm's tracer cannot follow layers that look at the shape of their input

COMMON = {
    "url": "",
    "interpolation": "bilinear",
    "mean": (0.5, 0.5, 0.5),  # pixels in [-1, 1], as in Google's tf-slim; our choice
    "std": (0.5, 0.5, 0.5),
}
OF_IMAGES = COMMON | {
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "pool_size": (7, 7),
    "crop_pct": 0.875,
    "first_conv": "stem.conv1.depthwise",
    "classifier": "classifier",
}
OF_DIGITS = COMMON | {
    "num_classes": digits.CLASSES,
    "input_size": (3, digits.WIDTH, digits.WIDTH),
    "crop_pct": 1.0,
    "first_conv": None,
    "classifier": "network.output",
}
default_cfgs = generate_default_cfgs(
    dict.fromkeys(("inception", "bn_inception", "googlenet", "bn_googlenet"), OF_IMAGES) | {"mnist_digits": OF_DIGITS}
)


def _create(network: type[Trunk], name: str, pretrained: bool, norm: str, options: dict[str, Any]) -> Trunk:
    """Build a network through timm.

    The options ``norm``, ``norm_eps``, ``ema_decay`` and ``affine`` choose the normaliser, by name, ``last_norm``
    another one for the last module, and ``norm_options`` has what only some normalisers have. ``device`` and ``dtype``
    are of the parameters.
    """

    def build(device: str | None = None, dtype: torch.dtype | None = None, **arguments: Any) -> Trunk:
        with torch.device(device) if device else nullcontext():
            return network(**arguments).to(dtype=dtype)

    shared = {"eps": options.pop("norm_eps", 1e-3), "ema_decay": options.pop("ema_decay", 0.9997)}
    shared["affine"] = options.pop("affine", True)
    offered = options.pop("norm_options", {})

    def norm_layer(chosen: str) -> Callable[..., nn.Module | None]:
        others = {key: value for key, value in offered.items() if key in norm_options(chosen)}
        return partial(build_norm, chosen, **shared, **others)

    options.setdefault("norm_layer", norm_layer(options.pop("norm", norm)))
    if last := options.pop("last_norm", ""):
        options["last_norm_layer"] = norm_layer(last)
    separable = options.get("separable", True)
    first_conv = "stem.conv1.depthwise" if separable else "stem.conv1.conv"
    overlay = {"first_conv": first_conv} | (options.pop("pretrained_cfg_overlay", None) or {})
    if options.get("aux"):
        overlay["classifier"] = ("classifier", *(f"heads.{row}.classifier" for row in network.auxiliary_after))
    if pretrained and separable:
        overlay["first_conv"] = None  # timm cannot convert its weights; `ports.fit_image_channels` does
    model = build_model_with_cfg(
        build,
        name,
        pretrained,
        pretrained_cfg_overlay=overlay,
        pretrained_filter_fn=ports.fit_image_channels,
        feature_cfg={"feature_cls": "hook"},
        **options,
    )
    model.pretrained_cfg["first_conv"] = first_conv
    return model


def _register(name: str, network: type[Trunk], norm: str, **defaults: Any) -> None:
    """Register a network under a name, with a normaliser and other options that a user may override."""

    def create(pretrained: bool = False, **options: Any) -> Trunk:
        return _create(network, name, pretrained, norm, defaults | options)

    create.__name__ = create.__qualname__ = name  # by which timm registers it
    register_model(create)


_register("inception", Inception, "none", lrn=True, drop_rate=0.4)  # the paper's baseline: Fig. 5 without normalisers
_register("bn_inception", Inception, "bn")  # Fig. 5 as in BN-x*
_register("googlenet", GoogLeNet, "none", drop_rate=0.4)  # as published, with LRN
_register("bn_googlenet", GoogLeNet, "bn", drop_rate=0.4)


def _digit_reader(
    num_classes: int = digits.CLASSES,
    in_chans: int = 3,
    *,
    kind: str = "mlp",
    hidden: Sequence[int] = (100, 100, 100),
    norm: str = "bn",
    norm_eps: float = 1e-5,
    ema_decay: float = 0.99,
    affine: bool = True,
    norm_options: dict[str, Any] | None = None,
    norm_placement: str = "before",
    nonlinearity: str = "sigmoid",
    binarize_above: int = 127,
) -> digits.DigitReader:
    if (num_classes, in_chans) != (digits.CLASSES, 3):
        needed = f"{digits.CLASSES} classes and three channels"
        raise ValueError(f"mnist_digits has {needed}, not {num_classes} and {in_chans}")
    norm_layer = partial(build_norm, norm, eps=norm_eps, ema_decay=ema_decay, affine=affine, **(norm_options or {}))
    reader = digits.DigitReader(digits.network(kind, hidden, norm_layer, nonlinearity, norm_placement), binarize_above)
    reader.num_classes, reader.num_features = num_classes, hidden[-1]
    return reader


@register_model
def mnist_digits(pretrained: bool = False, **options) -> digits.DigitReader:
    """The networks of binary MNIST of Sec. 4.1 as readers of pictures of digits, white on black."""
    return build_model_with_cfg(_digit_reader, "mnist_digits", pretrained, **options)


def save(
    name: str,
    options: dict[str, Any],
    weights: dict[str, Tensor],
    out: Path,
    pixels: int,
    classes: dict[str, str],
    run: str,
) -> None:
    """Write weights and timm's config to a folder that ``timm.create_model("local-dir:...", pretrained=True)`` loads.

    The network is registered under ``name`` and built with ``options``; ``weights`` is its state. ``pixels`` is the
    width of its images, ``classes`` has the name in words by identifier, in the order of the logits, and ``run`` says
    where the weights come from.
    """
    model = timm.create_model(name, num_classes=len(classes), **options)
    model.load_state_dict(weights)
    config = {
        "model_args": options,
        "label_names": list(classes),
        "label_descriptions": classes,
        "run": run,
        "pretrained_cfg": {"input_size": (3, pixels, pixels), "crop_pct": model.pretrained_cfg["crop_pct"]},
    }
    save_for_hf(model, str(out), model_config=config, safe_serialization=True)
