"""Where a layer's normaliser stands: before its nonlinearity, as Sec. 3.2 has it, or after."""

from torch import nn


def needs_bias(norm: nn.Module | None, placement: str) -> bool:
    """Whether W u gets a bias: a normaliser right behind it would take it out again; one after g(W u + b) does not."""
    return norm is None or placement == "after"


def complete(layer: nn.Sequential, norm: nn.Module | None, nonlinearity: nn.Module, placement: str) -> None:
    """Add ``norm``, if there is one, and ``nonlinearity`` behind W u (+ b) by these names, in the order of placement.

    Args:
        layer: holds the linear map.
        norm: the normaliser, or None.
        nonlinearity: elementwise.
        placement: of the normaliser, ``before`` or ``after`` the nonlinearity.
    """
    parts = [("norm", norm), ("nonlinearity", nonlinearity)]
    for name, module in parts if placement == "before" else reversed(parts):
        if module is not None:
            layer.add_module(name, module)


def normalises(layer: nn.Sequential, placement: str) -> bool:
    """Whether the layer has a normaliser there."""
    names = [name for name, _ in layer.named_children()]
    if "norm" not in names:
        return False
    return (names.index("norm") < names.index("nonlinearity")) == (placement == "before")
