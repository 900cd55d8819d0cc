"""From a configuration to the things it names."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bnrepro.config.schema import Config
from bnrepro.data import load, mnist
from bnrepro.data.resident import ResidentImages
from bnrepro.data.stream import StreamedImages
from bnrepro.errors import UserError
from bnrepro.layers import build_norm, norm_options
from bnrepro.layers.sync import synchronise
from bnrepro.models.googlenet import GoogLeNet
from bnrepro.models.inception import Inception
from bnrepro.models.mlp import MLP
from bnrepro.models.recurrent import RNN
from bnrepro.models.stacked import stacks
from bnrepro.models.trunk import Trunk
from bnrepro.probes.instrumented import InstrumentProbe, Probes
from bnrepro.training import schedule
from bnrepro.training.distributed import ALONE, Replicas
from bnrepro.training.init import initialise
from bnrepro.training.sgd import SGD, decayed, spare_the_compiler
from bnrepro.training.tasks.images import ImageClassification
from bnrepro.training.tasks.stacked_mnist import StackedMNIST

Dataset = mnist.MNIST | ResidentImages | StreamedImages
Task = StackedMNIST | ImageClassification
ADAPTIVE = {"adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}


def data_fingerprint(config: Config) -> str:
    """What identifies the data set's contents.

    Raises:
        UserError: the data set is not there.
    """
    return load.fingerprint(config.data)


def usable(name: str) -> torch.device:
    """The device of that name.

    Raises:
        UserError: there is no such device here.
    """
    try:
        found = torch.device(name)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name} cannot be used ({str(error).splitlines()[0]}); try device=cpu") from None
    return found


def device(config: Config) -> torch.device:
    """The device to train on, told how precise its products are to be."""
    found = usable(config.device)
    if found.type == "cuda":  # PyTorch's default computes float32 convolutions in TF32
        kind = "tf32" if config.training.precision == "tf32" else "ieee"
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = kind
    return found


def of_digits(config: Config) -> bool:
    """Whether it is a network that reads binary digits as vectors, and not a convolutional one."""
    return config.model.name in ("mlp", "rnn")


def stackable(config: Config) -> bool:
    """Whether several seeds train side by side in one program; else one after the other."""
    return config.model.name == "mlp" and stacks(_norm(config)(1)) and not config.probe.instruments


def dataset(config: Config, on: torch.device, replicas: Replicas = ALONE) -> Dataset:
    """The data set, checked and ready to give batches on a device."""
    options = config.data
    if of_digits(config):
        size = config.training.batch_size
        return mnist.MNIST(Path(options.root), options.split, options.binarize_above, size, on, options.inputs)
    return load.images(config, on, (replicas.rank, replicas.count))


def own_norm_options(config: Config, name: str = "") -> dict[str, Any]:
    """The options that only some normalisers have, as the configuration's own one, or a named one, takes them."""
    offered = vars(config.norm) | {"steps": config.training.total_steps}
    return {key: offered[key] for key in norm_options(name or config.norm.name) & offered.keys()}


def _norm(config: Config, name: str = "") -> Callable[..., nn.Module | None]:
    options = config.norm
    common = {"eps": options.eps, "ema_decay": options.ema_decay, "affine": options.affine}
    return partial(build_norm, name or options.name, **common, **own_norm_options(config, name))


def _mlp(config: Config, stack: int) -> MLP:
    sizes = [mnist.PIXELS, *config.model.hidden, mnist.CLASSES]
    return MLP(sizes, _norm(config), config.model.nonlinearity, config.norm.placement, stack)


def _rnn(config: Config) -> RNN:
    (features,) = config.model.hidden
    options = config.model.nonlinearity, config.norm.placement
    return RNN(mnist.WIDTH, features, mnist.CLASSES, _norm(config), *options)


def _convolutional(config: Config, classes: int) -> Trunk:
    options = config.model
    shared = {
        "norm_layer": _norm(config),
        "norm_placement": config.norm.placement,
        "nonlinearity": options.nonlinearity,
        "pixels": config.data.pixels,
        "width": options.width,
        "separable": options.separable,
        "stem_reduction": options.stem_reduction,
        "drop_rate": options.dropout,
        "lrn": options.lrn,
        "lrn_alpha": options.lrn_alpha,
        "aux": options.aux,
    }
    if options.name == "inception":
        last = _norm(config, config.norm.last)
        return Inception(classes, last_norm_layer=last, projection_4cd=options.projection_4cd, **shared)
    return GoogLeNet(classes, reduce_5a=options.reduce_5a, **shared)


def network(config: Config, seeds: list[int], on: torch.device, classes: int = mnist.CLASSES) -> nn.Module:
    """One network a seed, side by side where they are `stackable`, with its initial weights."""
    if of_digits(config):
        model = _rnn(config) if config.model.name == "rnn" else _mlp(config, len(seeds))
    else:
        model = _convolutional(config, classes)
    initialise(model, config.init, seeds)
    return model.to(on) if of_digits(config) else model.to(on, memory_format=torch.channels_last)


def _training_forward(config: Config, model: nn.Module, replicas: Replicas) -> nn.Module:
    """What a training step calls: the network itself, averaged over replicas, compiled."""
    if config.norm.sync:
        synchronise(model)
    model = replicas.wrap(model)
    mode = config.training.compile
    return model if mode == "none" else torch.compile(model, mode=mode)


def task(config: Config, data: Dataset, seeds: list[int], on: torch.device, replicas: Replicas = ALONE) -> Task:
    """The networks of these seeds and what they are trained on."""
    if of_digits(config):
        return StackedMNIST(network(config, seeds, on), data, config.probe.batches)
    model = network(config, seeds, on, data.classes)
    return ImageClassification(
        model,
        _training_forward(config, model, replicas),
        data,
        aux_weight=config.model.aux_weight,
        precision=config.training.precision,
        probe_batches=config.probe.batches,
        rank=replicas.rank,
    )


def optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser at the configuration's rate, with L2 on weights alone; adaptive ones with PyTorch's constants."""
    spare_the_compiler()
    options = config.optimizer
    if options.name in ADAPTIVE:
        return ADAPTIVE[options.name](decayed(model, options.l2), lr=options.lr, foreach=True)
    return SGD(decayed(model, options.l2), lr=options.lr, momentum=options.momentum, fused=not of_digits(config))


def probe(config: Config, task: Task, steps: list[int]) -> Probes | None:
    """What looks inside the network at these steps; None if nothing does."""
    options, found = config.probe, []
    if options.name != "none":
        found.append(task.probe(steps))
    if options.instruments:
        found.append(InstrumentProbe(task, options.instruments, options.batches, rate(config), steps))
    return Probes(found) if found else None


def rate(config: Config) -> Callable[[int], float]:
    """The learning rate of each step."""
    if config.schedule.name == "constant":
        return schedule.constant(config.optimizer.lr)
    return schedule.exponential(config.optimizer.lr, config.schedule.factor, config.schedule.every)
