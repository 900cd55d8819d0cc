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
CONTRAST, BRIGHTNESS = 0.5, 0.5  # of pixels in [-1, 1]: half the contrast about mid-grey, a quarter of the range of 2
SHIFT = f"x -> {CONTRAST:g} x + {BRIGHTNESS:g}, cut off at -1 and 1, of the network's input x in [-1, 1]"
KINDS = ("population", "batch", "shifted", "shifted_adapted", "adapted")
CPU = torch.device("cpu")


def shifted(images: Tensor) -> Tensor:
    """Shift images in [-1, 1] to another domain, with half the contrast about mid-grey and brighter.

    At these amounts the pixels come to lie in [0, 1], so that the clamp changes nothing.
    """
    return (CONTRAST * images + BRIGHTNESS).clamp(-1, 1)


def mini_batches(count: int, size: int) -> list[Tensor]:
    """Split the indices of ``count`` images into mini-batches of ``size``, in a fixed random order.

    Images that do not fill a mini-batch join the one before, which then has up to 2 ``size`` - 1 images.
    """
    order = torch.from_numpy(numpy_rng(0, "swapped statistics").permutation(count))
    full = (max(1, count // size) - 1) * size  # images before the last mini-batch
    return [*(order[:full].split(size) if full else ()), order[full:]]


def by_mini_batch(network: nn.Module) -> nn.Module:
    """Return a copy whose batch normalisers use the statistics of each mini-batch, with everything else in evaluation.

    Dropout is off, and there are no auxiliary heads.
    """
    network = copy.deepcopy(network).eval()
    for norm in batch_norms(network):
        norm.train()
    return network


@torch.no_grad()
def top1(network: nn.Module, images: Tensor, labels: Tensor, batches: list[Tensor]) -> float:
    """Return the top-1 accuracy, a fraction, of a network in its present mode.

    ``batches`` are the indices, among ``images`` (M, 3, H, W), of those that pass through it together.
    """
    answers = ((network(images[k]).to(images.dtype).mT[None], labels[k][None]) for k in batches)
    return accuracy_of(answers)["top1"].item()


def accuracies(network: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> dict[str, float]:
    """Return the top-1 accuracy, a fraction, for each choice of statistics in the normalisers.

    ``population`` uses the stored statistics, and ``batch`` those of each of `mini_batches`. ``shifted`` uses the
    stored ones on `shifted` images, and ``shifted_adapted`` those of Alg. 2 over the shifted images, which needs no
    labels (AdaBN, Li et al. 2016, arXiv:1603.04779). ``adapted`` uses those of Alg. 2 over the images as they are.

    The network is in evaluation mode, with the statistics of training, and is left like that. ``images`` (M, 3, H, W)
    are in [-1, 1] and of all classes. ``batch_size`` is that of training.
    """
    chunks = list(torch.arange(len(images)).split(EVALUATION_BATCH))
    batches = mini_batches(len(images), batch_size)
    result = {
        "population": top1(network, images, labels, chunks),
        "batch": top1(by_mini_batch(network), images, labels, batches),
        "shifted": top1(network, shifted(images), labels, chunks),
    }
    for name, domain in (("shifted_adapted", shifted(images)), ("adapted", images)):
        with population_statistics(network, (domain[k] for k in batches)):
            result[name] = top1(network, domain, labels, chunks)
    return result


def check(network: Trained) -> None:
    """Raise a `UserError` unless the run's normalisers are batch normalisers and its images fit into memory."""
    if network.of_digits:
        raise UserError(f"{network.name} is a network of binary digits; choose runs of Inception or GoogLeNet")
    options = network.config.norm
    for norm in (options.name, options.last or options.name):
        if norm not in SWAPPABLE:
            choose = f"choose runs with norm={', '.join(SWAPPABLE)}"
            raise UserError(f"{network.name} has norm={norm}, without statistics to exchange; {choose}")
    if network.config.data.name == "imagenet":
        raise UserError(f"{network.name} is judged on images that are not held in memory; choose a smaller scale")


def judged_on(network: Trained, root: Path | None = None) -> tuple[Tensor, Tensor]:
    """Return the held-out images (M, 3, pixels, pixels) in [-1, 1] of a run, and their labels (M,).

    ``root`` is the folder of its data set; None stands for the folder in its scale.
    """
    config = network.config
    config.data.root = str(root or config.scale["imagenet"]["root"])
    if build.data_fingerprint(config) != network.status["data_fingerprint"]:
        raise UserError(f"{config.data.root} is not the data set that {network.name} was trained on; give its --root")
    images, labels = zip(*build.dataset(config, CPU).evaluation_batches(), strict=True)
    return torch.cat(images), torch.cat(labels)


def measure(directory: Path, root: Path | None = None) -> tuple[str, dict[str, float]]:
    """Return the name of a finished run and its `accuracies`; for ``root`` see `judged_on`."""
    network = trained(directory, CPU)
    check(network)
    images, labels = judged_on(network, root)
    mixed = network.config.training.precision == "bfloat16"
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        return network.name, accuracies(network.network, images, labels, network.config.training.batch_size)
