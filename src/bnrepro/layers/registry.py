"""Normalisers by name: what the ``norm`` config group chooses from."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from bnrepro.errors import UserError, suggest

Builder = Callable[..., nn.Module]
_BUILDERS: dict[str, Builder] = {}
COMMON = {"spatial", "eps", "ema_decay", "affine"}  # what every builder is given


def register(name: str) -> Callable[[Builder], Builder]:
    """Make ``norm=name`` build its module by ``builder(num_features, spatial=, eps=, ema_decay=, affine=)``.

    Further keywords of the builder are the normaliser's own options: one that is named as a key of the ``norm`` config
    group gets that key's value, ``steps`` the number of steps of the run. A module that draws random numbers in
    training mode says so by an attribute ``random = True``.
    """

    def add(builder: Builder) -> Builder:
        _BUILDERS[name] = builder
        return builder

    return add


def norm_names() -> list[str]:
    """Every name ``build_norm`` takes."""
    return ["none", *sorted(_BUILDERS)]


def norm_options(name: str) -> set[str]:
    """The normaliser's own options: the keywords of its builder beyond those that every builder is given.

    Raises:
        UserError: the name is unknown.
    """
    if name == "none":
        return set()
    if name not in _BUILDERS:
        raise UserError(f"unknown normaliser norm.name={name}; {suggest(name, norm_names())}")
    _, *keywords = inspect.signature(_BUILDERS[name]).parameters.values()
    return {p.name for p in keywords if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)} - COMMON


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
    """Build one normaliser for activations of shape (N, num_features, *spatial).

    Args:
        name: one of `norm_names`.
        num_features: features of a dense layer, maps of a convolutional one.
        spatial: sizes after the feature axis; per-activation statistics need them, and groups of features.
        eps: added to the variance, inside the square root (paper Alg. 1; value not given there).
        ema_decay: share of the old moving average kept each step (PyTorch's ``momentum`` is 1 - this).
        affine: learn gamma and beta.
        options: the normaliser's own, of those that `norm_options` names.

    Returns:
        The module, or None for ``none``. Where a module is returned, the layer before it drops its bias (Sec. 3.2).

    Raises:
        UserError: the name is unknown, or one of the options.
    """
    own = norm_options(name)
    if unknown := sorted(set(options) - own):
        raise UserError(f"norm={name} has no option {unknown[0]}; it has: {', '.join(sorted(own)) or 'none'}")
    if name == "none":
        return None
    common = {"spatial": tuple(spatial), "eps": eps, "ema_decay": ema_decay, "affine": affine}
    return _BUILDERS[name](num_features, **common, **options)
