"""Contexts in which a network has population statistics (Alg. 2, lines 8-10), or corrected moving averages."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return every batch normaliser in the network."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@contextmanager
def _restored(model: nn.Module) -> Iterator[list[_BatchNorm]]:
    """Give the batch normalisers. At the end, restore their buffers and momentum, and the network's mode."""
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

    The averages are over the given training mini-batches, which pass through the network in training mode with its
    weights frozen. ``forward`` calls the network as training does, if not by calling ``model`` itself.
    """
    with _restored(model) as norms:
        if norms:
            model.train()
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # PyTorch: the plain average over batches of the mean and the unbiased variance
                norm.taking_statistics = True
            for batch in batches:
                (forward or model)(batch)
            for norm in norms:
                norm.taking_statistics = False
        model.eval()
        yield


@contextmanager
@torch.no_grad()
def moving_average(
    model: nn.Module, mean: Callable[[Tensor], Tensor] = lambda buffer: buffer, negligible: float = 0.0
) -> Iterator[None]:
    """Inside, the network is in evaluation mode with its moving averages, corrected for their initial values.

    After t steps with decay d the averages still hold d^t of their initial values (mean 0, variance 1). Without that
    share, and scaled up by 1 / (1 - d^t), they are averages over the mini-batches so far.

    Args:
        model: The network.
        mean: Gives the mean of a buffer over replicas, each of which had its own mini-batches.
        negligible: A d^t of this size or less is not corrected for.
    """
    with _restored(model) as norms:
        for norm in norms:
            norm.running_mean.copy_(mean(norm.running_mean))
            norm.running_var.copy_(mean(norm.running_var))
            share = (1 - norm.momentum) ** int(norm.num_batches_tracked)
            if negligible < share < 1:
                norm.running_mean.div_(1 - share)
                norm.running_var.sub_(share).div_(1 - share).clamp_(min=0)
        model.eval()
        yield
