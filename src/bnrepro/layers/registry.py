"""Normalisers by name: what the ``norm`` config group chooses from."""

from collections.abc import Callable, Sequence

from torch import nn

from bnrepro.errors import UserError, suggest

Builder = Callable[..., nn.Module]
_BUILDERS: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Make ``norm=name`` build its module by ``builder(num_features, spatial=, eps=, ema_decay=, affine=)``."""

    def add(builder: Builder) -> Builder:
        _BUILDERS[name] = builder
        return builder

    return add


def norm_names() -> list[str]:
    """Every name ``build_norm`` takes."""
    return ["none", *sorted(_BUILDERS)]


def build_norm(
    name: str,
    num_features: int,
    *,
    spatial: Sequence[int] = (),
    eps: float = 1e-5,
    ema_decay: float = 0.9,
    affine: bool = True,
) -> nn.Module | None:
    """Build one normaliser for activations of shape (N, num_features, *spatial).

    Args:
        name: one of `norm_names`.
        num_features: features of a dense layer, maps of a convolutional one.
        spatial: sizes after the feature axis; only per-activation statistics need them.
        eps: added to the variance, inside the square root (paper Alg. 1; value not given there).
        ema_decay: share of the old moving average kept each step (PyTorch's ``momentum`` is 1 - this).
        affine: learn gamma and beta.

    Returns:
        The module, or None for ``none``. Where a module is returned, the layer before it drops its bias (Sec. 3.2).

    Raises:
        UserError: the name is unknown.
    """
    if name == "none":
        return None
    if name not in _BUILDERS:
        raise UserError(f"unknown normaliser norm.name={name}; {suggest(name, norm_names())}")
    return _BUILDERS[name](num_features, spatial=tuple(spatial), eps=eps, ema_decay=ema_decay, affine=affine)
