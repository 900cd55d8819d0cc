"""Population statistics (Alg. 2, lines 8-10) in place of the moving average, for as long as they are needed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Every batch normaliser in the network, found by class."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@contextmanager
@torch.no_grad()
def population_statistics(model: nn.Module, batches: Iterable[Tensor]) -> Iterator[None]:
    """Inside, the network is in evaluation mode with E[x] = E_B[mu_B] and Var[x] = m/(m-1) E_B[sigma_B^2].

    The averages are over the given training mini-batches, passed through the network in training mode with its weights
    frozen. On leaving, moving averages and training mode are as they were: whatever happens inside leaves no trace.
    """
    norms = batch_norms(model)
    kept = [({name: b.clone() for name, b in norm.named_buffers()}, norm.momentum) for norm in norms]
    was_training = model.training
    try:
        if norms:
            model.train()
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # PyTorch: the plain average over batches of the mean and the unbiased variance
            for batch in batches:
                model(batch)
        model.eval()
        yield
    finally:
        for norm, (buffers, momentum) in zip(norms, kept, strict=True):
            for name, buffer in norm.named_buffers():
                buffer.copy_(buffers[name])
            norm.momentum = momentum
        model.train(was_training)
