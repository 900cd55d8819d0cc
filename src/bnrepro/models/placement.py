"""Where a layer's normaliser stands: before its nonlinearity, as Sec. 3.2 has it, or after."""

from torch import nn


def needs_bias(norm: nn.Module | None, placement: str) -> bool:
    """Return whether W u needs a bias: a normaliser that follows directly would take it out again (Sec. 3.2)."""
    return norm is None or placement == "after"


def complete(layer: nn.Sequential, norm: nn.Module | None, nonlinearity: nn.Module, placement: str) -> None:
    """Append ``norm``, unless it is None, and ``nonlinearity`` under these names, in the order of the placement."""
    parts = [("norm", norm), ("nonlinearity", nonlinearity)]
    for name, module in parts if placement == "before" else reversed(parts):
        if module is not None:
            layer.add_module(name, module)


def normalises(layer: nn.Sequential, placement: str) -> bool:
    """Return whether the layer has a normaliser at this place."""
    names = [name for name, _ in layer.named_children() if name in ("norm", "nonlinearity")]
    return names == (["norm", "nonlinearity"] if placement == "before" else ["nonlinearity", "norm"])
