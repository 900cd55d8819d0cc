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
from bnrepro.models import digits
from bnrepro.models.googlenet import GoogLeNet
from bnrepro.models.inception import Inception
from bnrepro.models.stacked import stacks
from bnrepro.models.trunk import Trunk
from bnrepro.probes.instruments import InstrumentProbe
from bnrepro.probes.probe import Probes
from bnrepro.training import schedule
from bnrepro.training.distributed import ALONE, Replicas
from bnrepro.training.init import initialise
from bnrepro.training.sgd import SGD, decayed, spare_the_compiler
from bnrepro.training.tasks.images import ImageClassification
from bnrepro.training.tasks.stacked_mnist import StackedMNIST
from bnrepro.training.validation import DIGITS

Dataset = mnist.MNIST | ResidentImages | StreamedImages
Task = StackedMNIST | ImageClassification
ADAPTIVE = {"adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}


def data_fingerprint(config: Config) -> str:
    """What identifies the data set's contents."""
    return load.fingerprint(config.data)


def usable(name: str) -> torch.device:
    """The device of that name; a `UserError` where there is no such device."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name} cannot be used ({str(error).splitlines()[0]}); try device=cpu") from None
    return device


def device(config: Config) -> torch.device:
    """The device to train on, told how precise its products are to be."""
    chosen = usable(config.device)
    if chosen.type == "cuda":  # PyTorch's default computes float32 convolutions in TF32
        kind = "tf32" if config.training.precision == "tf32" else "ieee"
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = kind
    return chosen


def conditions(device: torch.device) -> dict[str, Any]:
    """What the bits of any run depend on beside its configuration."""
    own = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": str(device)}
    return own | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})


def of_digits(config: Config) -> bool:
    """Whether the network reads binary digits as vectors, and is not convolutional."""
    return config.model.name in DIGITS


def stackable(config: Config) -> bool:
    """Whether several seeds train side by side in one program; else one after the other."""
    return config.model.name == "mlp" and stacks(_norm(config)(1)) and not config.probe.instruments


def dataset(config: Config, device: torch.device, replicas: Replicas = ALONE) -> Dataset:
    """The data set, checked and ready to give batches on a device."""
    options = config.data
    if of_digits(config):
        size = config.training.batch_size
        return mnist.MNIST(Path(options.root), options.split, options.binarize_above, size, device, options.inputs)
    return load.images(config, device, (replicas.rank, replicas.count))


def own_norm_options(config: Config, name: str = "") -> dict[str, Any]:
    """The options that only some normalisers have, for the configuration's own one or for another by name."""
    offered = vars(config.norm) | {"steps": config.training.total_steps}
    return {key: offered[key] for key in norm_options(name or config.norm.name) & offered.keys()}


def _norm(config: Config, name: str = "") -> Callable[..., nn.Module | None]:
    options = config.norm
    common = {"eps": options.eps, "ema_decay": options.ema_decay, "affine": options.affine}
    return partial(build_norm, name or options.name, **common, **own_norm_options(config, name))


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


def network(config: Config, seeds: list[int], device: torch.device, classes: int = mnist.CLASSES) -> nn.Module:
    """One network per seed, side by side where they are `stackable`, with its initial weights."""
    options = config.model
    if of_digits(config):
        layers = options.name, options.hidden, _norm(config), options.nonlinearity, config.norm.placement
        model = digits.network(*layers, stack=len(seeds))
        initialise(model, config.init, seeds)
        return model.to(device)
    model = _convolutional(config, classes)
    initialise(model, config.init, seeds)
    return model.to(device, memory_format=torch.channels_last)


def _training_forward(config: Config, model: nn.Module, replicas: Replicas) -> nn.Module:
    """What a training step calls: the network, with gradients averaged over replicas, compiled."""
    if config.norm.sync:
        synchronise(model)
    model = replicas.wrap(model)
    mode = config.training.compile
    return model if mode == "none" else torch.compile(model, mode=mode)


def task(config: Config, data: Dataset, seeds: list[int], device: torch.device, replicas: Replicas = ALONE) -> Task:
    """The networks of these seeds and what they are trained on."""
    if of_digits(config):
        return StackedMNIST(network(config, seeds, device), data, config.probe.batches)
    model = network(config, seeds, device, data.classes)
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
    """What measures inside the network at these steps; None if nothing does."""
    probes = [] if config.probe.name == "none" else [task.probe(steps)]
    if config.probe.instruments:
        probes.append(InstrumentProbe(task, config.probe.instruments, config.probe.batches, rate(config), steps))
    return Probes(probes) if probes else None


def rate(config: Config) -> Callable[[int], float]:
    """The learning rate of each step."""
    if config.schedule.name == "constant":
        return schedule.constant(config.optimizer.lr)
    return schedule.exponential(config.optimizer.lr, config.schedule.factor, config.schedule.every)
