"""Normalisers by name: what the ``norm`` config group chooses from."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from bnrepro.errors import UserError, suggest

Builder = Callable[..., nn.Module]
_BUILDERS: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Make ``norm=name`` build its module by ``builder(num_features, spatial=, eps=, ema_decay=, affine=)``.

    Further keywords of the builder are the normaliser's own options. An option gets the value of the key of the same
    name in the ``norm`` config group; ``steps`` is the number of steps of the run. A module that draws random numbers
    in training mode has an attribute ``random = True``.
    """

    def add(builder: Builder) -> Builder:
        _BUILDERS[name] = builder
        return builder

    return add


def norm_names() -> list[str]:
    """Return every name that `build_norm` takes."""
    return ["none", *sorted(_BUILDERS)]


def norm_options(name: str) -> set[str]:
    """Return the normaliser's own options: the keywords of its builder beyond those that every builder takes."""
    if name == "none":
        return set()
    if name not in _BUILDERS:
        raise UserError(f"unknown normaliser norm.name={name}; {suggest(name, norm_names())}")
    _, *keywords = inspect.signature(_BUILDERS[name]).parameters.values()
    option_names = {p.name for p in keywords if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    return option_names - {"spatial", "eps", "ema_decay", "affine"}


def build_norm(
    name: str,
    num_features: int,
    *,
    spatial: Sequence[int] = (),
    eps: float = 1e-5,
    ema_decay: float = 0.9,
    affine: bool = True,
    **options: Any,
) -> nn.Module | None:
    """Return one normaliser for activations of shape (N, num_features, *spatial), or None for ``none``.

    Args:
        name: one of `norm_names`.
        num_features: features of a dense layer, maps of a convolutional one.
        spatial: the sizes after the feature axis, which per-activation statistics and groups of features need.
        eps: added to the variance, inside the square root (Alg. 1; the paper gives no value).
        ema_decay: the share of the old moving average that each step keeps (PyTorch's ``momentum`` is 1 - this).
        affine: learn gamma and beta.
        options: those that `norm_options` names.
    """
    option_names = norm_options(name)
    if unknown := sorted(set(options) - option_names):
        raise UserError(f"norm={name} has no option {unknown[0]}; it has: {', '.join(sorted(option_names)) or 'none'}")
    if name == "none":
        return None
    common = {"spatial": tuple(spatial), "eps": eps, "ema_decay": ema_decay, "affine": affine}
    return _BUILDERS[name](num_features, **common, **options)
