"""Convolutional networks of one shape side by side, for a GPU that one of them cannot fill."""

import copy
import re
from collections.abc import Container, Iterable, Mapping

from torch import Tensor, nn

from bnrepro.layers.lrn import LocalResponseNorm
from bnrepro.models.convolution import AuxiliaryHead, AveragePool, ConvUnit, MaxPool
from bnrepro.models.stacked_layers import (
    AveragePooling,
    ConvolutionUnit,
    Dropout,
    Head,
    Linear,
    MaximumPooling,
    Response,
)

REPLACEMENTS: dict[type[nn.Module], type[nn.Module]] = {
    ConvUnit: ConvolutionUnit,
    AuxiliaryHead: Head,
    nn.Linear: Linear,
    nn.Dropout: Dropout,
    LocalResponseNorm: Response,
    MaxPool: MaximumPooling,
    AveragePool: AveragePooling,
}


def stack_networks(networks: list[nn.Module]) -> nn.Module:
    """Return one network that computes all of these, from images (S, 3, N, H, W) to logits (S, classes, N).

    They may differ in values, in rates of dropout, in whether they have batch normalisation and local response
    normalisation, and in having ReLUs or sigmoids. In training mode a network with auxiliary heads returns its logits
    and a list of the heads' logits.
    """
    stack = copy.deepcopy(networks[0])
    _replace_layers(stack, networks)
    return stack


def _replace_layers(stack: nn.Module, parents: list[nn.Module]) -> None:
    """Replace the layers inside a module of the stack by those of all networks; others take stacked activations."""
    for name, child in stack.named_children():
        children = [parent.get_submodule(name) for parent in parents]
        replacement = next((REPLACEMENTS[type(layer)] for layer in children if type(layer) in REPLACEMENTS), None)
        if replacement is None:
            _replace_layers(child, children)
        else:
            setattr(stack, name, replacement(children))


def stacked_name(name: str, names: Container[str]) -> str:
    """Return the stack's name for what a single network has under a name: its bias is in what follows W u."""
    return name if name in names else re.sub(r"\.(conv|linear)\.bias$", ".norm.bias", name)


def own_state(state: Mapping[str, Tensor], k: int, names: Iterable[str]) -> dict[str, Tensor]:
    """Return network k's part of a stack's state by the network's names. Tensors without axes belong to all."""
    parts = {name: state[stacked_name(name, state)] for name in names}
    return {name: (t if t.dim() == 0 else t[k]).detach().clone() for name, t in parts.items()}
