"""Gradient checkpointing: a module's activations are not kept but computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def _on_copies_of_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, the module's batch normalisers move copies of their running statistics."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    own_buffers = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    for norm, buffers in zip(norms, own_buffers, strict=True):
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in zip(norms, own_buffers, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)


def checkpointed(module: nn.Module, x: Tensor) -> Tensor:
    """module(x), with the gradients and the running statistics that it has without checkpointing."""
    contexts = nullcontext(), _on_copies_of_statistics(module)
    return checkpoint(module, x, use_reentrant=False, context_fn=lambda: contexts)
