"""From a configuration to the things it names."""

from functools import partial
from pathlib import Path

import torch
from torch import nn

from bnrepro.config import Config
from bnrepro.data import mnist
from bnrepro.errors import UserError
from bnrepro.layers import build_norm
from bnrepro.models.mlp import MLP
from bnrepro.training.init import gaussian
from bnrepro.training.sgd import SGD

DATA_FINGERPRINTS = {"mnist": mnist.FINGERPRINT}


def data_fingerprint(config: Config) -> str:
    """What identifies the data set's contents."""
    return DATA_FINGERPRINTS[config.data.name]


def device(config: Config) -> torch.device:
    """The device to train on.

    Raises:
        UserError: there is no such device here.
    """
    try:
        found = torch.device(config.device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device={config.device} cannot be used ({str(error).splitlines()[0]}); try device=cpu"
        ) from None
    return found


def dataset(config: Config, on: torch.device) -> mnist.MNIST:
    """The data set, checked and resident on a device."""
    options = config.data
    return mnist.MNIST(Path(options.root), options.split, options.binarize_above, config.training.batch_size, on)


def network(config: Config, seeds: list[int], on: torch.device) -> MLP:
    """One network a seed, stacked, with its initial weights."""
    options = config.norm
    norm = partial(build_norm, options.name, eps=options.eps, ema_decay=options.ema_decay, affine=options.affine)
    sizes = [mnist.PIXELS, *config.model.hidden, mnist.CLASSES]
    model = MLP(sizes, norm, config.model.nonlinearity, stack=len(seeds))
    gaussian(model, config.init.std, seeds)
    return model.to(on)


def optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """Stochastic gradient descent at the configuration's rate."""
    return SGD(model.parameters(), lr=config.optimizer.lr, momentum=config.optimizer.momentum)
