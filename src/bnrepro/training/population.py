"""Population statistics (Alg. 2, lines 8-10) in place of the moving average, for as long as they are needed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Every batch normaliser in the network, found by class."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@contextmanager
def _untouched(model: nn.Module) -> Iterator[list[_BatchNorm]]:
    """At the end, moving averages, their momentum and the training mode are what they were before."""
    norms = batch_norms(model)
    before = [({name: b.clone() for name, b in norm.named_buffers()}, norm.momentum) for norm in norms]
    was_training = model.training
    try:
        yield norms
    finally:
        for norm, (buffers, momentum) in zip(norms, before, strict=True):
            for name, buffer in norm.named_buffers():
                buffer.copy_(buffers[name])
            norm.momentum = momentum
        model.train(was_training)


@contextmanager
@torch.no_grad()
def population_statistics(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> Iterator[None]:
    """Inside, the network is in evaluation mode with E[x] = E_B[mu_B] and Var[x] = m/(m-1) E_B[sigma_B^2].

    The averages are over the given training mini-batches, passed through the network in training mode with its weights
    frozen; by ``forward``, if calling the network itself is not how it trains.
    """
    with _untouched(model) as norms:
        if norms:
            model.train()
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # PyTorch: the plain average over batches of the mean and the unbiased variance
            for batch in batches:
                (forward or model)(batch)
        model.eval()
        yield


@contextmanager
@torch.no_grad()
def moving_average(
    model: nn.Module, mean: Callable[[Tensor], Tensor] = lambda own: own, negligible: float = 0.0
) -> Iterator[None]:
    """Inside, the network is in evaluation mode with its moving averages, corrected for where they began.

    After t steps with decay d the averages still hold d^t of their first values (mean 0, variance 1). Without that
    share, and scaled up by 1 / (1 - d^t), they are averages over the mini-batches so far. ``mean`` gives the mean of a
    buffer over replicas, each of which had its own mini-batches. A d^t of ``negligible`` or less is not corrected for.
    """
    with _untouched(model) as norms:
        for norm in norms:
            norm.running_mean.copy_(mean(norm.running_mean))
            norm.running_var.copy_(mean(norm.running_var))
            left = (1 - norm.momentum) ** int(norm.num_batches_tracked)
            if negligible < left < 1:
                norm.running_mean.div_(1 - left)
                norm.running_var.sub_(left).div_(1 - left).clamp_(min=0)
        model.eval()
        yield
