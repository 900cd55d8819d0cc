"""Gradient checkpointing: the activations of a module are not kept but computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def _statistics_stand_still(module: nn.Module) -> Iterator[None]:
    """Inside, the module's batch normalisers do not update their running statistics."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def checkpointed(module: nn.Module, x: Tensor) -> Tensor:
    """Return module(x), with the gradients and the running statistics that it has without checkpointing."""
    contexts = nullcontext(), _statistics_stand_still(module)
    return checkpoint(module, x, use_reentrant=False, context_fn=lambda: contexts)
