"""A trained network with other statistics in its normalisers: of each mini-batch, or of another domain."""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from bnrepro.config.seeding import numpy_rng
from bnrepro.data.batches import EVALUATION_BATCH
from bnrepro.errors import UserError
from bnrepro.training import build
from bnrepro.training.accuracy import accuracy_of
from bnrepro.training.population import batch_norms, population_statistics
from bnrepro.use.trained import Trained, trained

SWAPPABLE = ("bn", "bn_reference", "bn_stop_gradient", "per_activation")  # Alg. 1 in training mode, nothing added
SHIFT = "x -> 0.5 x + 0.5, of the network's input x in [-1, 1]"
CPU = torch.device("cpu")


def shifted(images: Tensor) -> Tensor:
    """Shift images in [-1, 1] to another domain, with half the contrast and brighter; they are then in [0, 1]."""
    return 0.5 * images + 0.5


def mini_batches(count: int, size: int) -> tuple[Tensor, ...]:
    """Split the indices of ``count`` images into mini-batches of ``size``, in a fixed random order.

    Images that do not fill a mini-batch join the one before, which then has up to 2 ``size`` - 1 images.
    """
    order = torch.from_numpy(numpy_rng(0, "swapped statistics").permutation(count))
    return order.tensor_split(tuple(range(size, count - size + 1, size)))


def with_batch_statistics(network: nn.Module) -> nn.Module:
    """Return a copy whose batch normalisers use the statistics of each mini-batch, with everything else in evaluation.

    Dropout is off, and there are no auxiliary heads.
    """
    network = copy.deepcopy(network).eval()
    for norm in batch_norms(network):
        norm.train()
    return network


@torch.no_grad()
def top1(network: nn.Module, images: Tensor, labels: Tensor, batches: tuple[Tensor, ...]) -> float:
    """Return the top-1 accuracy, a fraction, of a network in its present mode.

    ``batches`` are the indices, among ``images`` (M, 3, H, W), of those that pass through it together.
    """
    answers = ((network(images[k]).to(images.dtype).mT[None], labels[k][None]) for k in batches)
    return accuracy_of(answers)["top1"].item()


def accuracies(network: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> dict[str, float]:
    """Return the top-1 accuracy, a fraction, for each choice of statistics in the normalisers.

    ``population`` uses the stored statistics, and ``batch`` those of each of `mini_batches`. ``shifted`` uses the
    stored ones on `shifted` images, and ``shifted_adapted`` those of Alg. 2 over the shifted images, which needs no
    labels (AdaBN, Li et al. 2016, arXiv:1603.04779).

    The network is in evaluation mode, with the statistics of training, and is left like that. ``images`` (M, 3, H, W)
    are in [-1, 1] and of all classes. ``batch_size`` is that of training.
    """
    chunks = torch.arange(len(images)).split(EVALUATION_BATCH)
    batches = mini_batches(len(images), batch_size)
    domain = shifted(images)
    result = {
        "population": top1(network, images, labels, chunks),
        "batch": top1(with_batch_statistics(network), images, labels, batches),
        "shifted": top1(network, domain, labels, chunks),
    }
    with population_statistics(network, (domain[k] for k in batches)):
        return result | {"shifted_adapted": top1(network, domain, labels, chunks)}


def check(network: Trained) -> None:
    """Raise a `UserError` unless the run's normalisers are batch normalisers and its images fit into memory."""
    options, data = network.config.norm, network.config.data
    if network.of_digits or data.name == "imagenet":
        raise UserError(f"{network.name} does not read small pictures; choose runs of Inception at a smaller scale")
    if other := {options.name, options.last or options.name}.difference(SWAPPABLE):
        choose = f"choose runs with norm={', '.join(SWAPPABLE)}"
        raise UserError(f"{network.name} has norm={other.pop()}, without statistics to exchange; {choose}")


def measure(directory: Path) -> dict[str, float]:
    """Return the `accuracies` of a finished run on its held-out images."""
    network = trained(directory, CPU)
    check(network)
    config = network.config
    config.data = network.data()
    images, labels = map(torch.cat, zip(*build.dataset(config, CPU).evaluation_batches(), strict=True))
    with torch.autocast("cpu", torch.bfloat16, enabled=config.training.precision == "bfloat16"):
        return accuracies(network.network, images, labels, config.training.batch_size)
