"""Builds what a configuration names: the device, the data, the networks, the optimiser and the probes."""

import math
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
from bnrepro.models.stacked import can_stack
from bnrepro.probes.instruments import InstrumentProbe
from bnrepro.probes.probe import Probe
from bnrepro.training.distributed import ALONE, Replicas
from bnrepro.training.init import initialise
from bnrepro.training.sgd import SGD, decayed, spare_the_compiler
from bnrepro.training.tasks.images import ImageClassification
from bnrepro.training.tasks.stacked_mnist import StackedMNIST
from bnrepro.training.validation import DIGITS

Dataset = mnist.MNIST | ResidentImages | StreamedImages
Task = StackedMNIST | ImageClassification
IMAGE_NETWORKS = {"inception": Inception, "googlenet": GoogLeNet}
ADAPTIVE = {"adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}


def usable(name: str) -> torch.device:
    """Return the device of that name, or raise a `UserError` if this machine has none."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name} cannot be used ({str(error).splitlines()[0]}); try device=cpu") from None
    return device


def device(config: Config) -> torch.device:
    """Return the device to train on, and set the precision of its products."""
    device = usable(config.device)
    if device.type == "cuda":  # By default PyTorch computes float32 convolutions in TF32.
        precision = "tf32" if config.training.precision == "tf32" else "ieee"
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = precision
    return device


def conditions(config: Config, device: torch.device) -> dict[str, Any]:
    """Return what the bits of a run depend on beside its identity."""
    conditions = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": str(device)}
    if device.type == "cuda":
        conditions["gpu"] = torch.cuda.get_device_name(device)
    if config.training.compile != "none":
        conditions["compile"] = config.training.compile
    return conditions


def of_digits(config: Config) -> bool:
    """Return whether the network reads binary digits as vectors, and so is not convolutional."""
    return config.model.name in DIGITS


def stackable(config: Config) -> bool:
    """Return whether several seeds can train side by side in one program."""
    return config.model.name == "mlp" and can_stack(_norm_layer(config)(1)) and not config.probe.instruments


def dataset(config: Config, device: torch.device, replicas: Replicas = ALONE) -> Dataset:
    """Load the data set, which then gives batches on the device."""
    options, size = config.data, config.training.batch_size
    if of_digits(config):
        return mnist.MNIST(Path(options.root), options.split, options.binarize_above, size, device, options.inputs)
    return load.batches(config, load.parts(options), device, (replicas.rank, replicas.count))


def options_of_norm(config: Config, name: str = "") -> dict[str, Any]:
    """Return the options that only some normalisers have, of the named one or else of the configuration's."""
    offered = vars(config.norm) | {"steps": config.training.total_steps}
    return {key: offered[key] for key in norm_options(name or config.norm.name) & offered.keys()}


def _norm_layer(config: Config, name: str = "") -> Callable[..., nn.Module | None]:
    """Return a function of the number of features that makes the named normaliser, or else the configuration's."""
    options = config.norm
    common = {"eps": options.eps, "ema_decay": options.ema_decay, "affine": options.affine}
    return partial(build_norm, name or options.name, **common, **options_of_norm(config, name))


def image_options(config: Config) -> dict[str, Any]:
    """Return the options of an image network, beside its number of classes and its normalisers."""
    names = ["nonlinearity", "width", "stem_reduction", "separable", "lrn", "lrn_alpha", "aux"]
    names.append("projection_4cd" if config.model.name == "inception" else "reduce_5a")
    options = {name: getattr(config.model, name) for name in names}
    others = {"drop_rate": config.model.dropout, "pixels": config.data.pixels, "norm_placement": config.norm.placement}
    return options | others


def network(config: Config, seeds: list[int], device: torch.device, classes: int = mnist.CLASSES) -> nn.Module:
    """Return a network with its initial weights: for digits, one per seed side by side; for images, one alone."""
    model, norm = config.model, config.norm
    if of_digits(config):
        layers = model.name, model.hidden, _norm_layer(config), model.nonlinearity, norm.placement
        built = digits.network(*layers, stack=len(seeds))
    else:
        normalisers = {"norm_layer": _norm_layer(config), "last_norm_layer": _norm_layer(config, norm.last)}
        built = IMAGE_NETWORKS[model.name](classes, **normalisers, **image_options(config))
    initialise(built, config.init, seeds)
    return built.to(device) if of_digits(config) else built.to(device, memory_format=torch.channels_last)


def task(config: Config, data: Dataset, seeds: list[int], device: torch.device, replicas: Replicas = ALONE) -> Task:
    """Return the networks of these seeds with what they are trained on."""
    if of_digits(config):
        return StackedMNIST(network(config, seeds, device), data, config.probe.batches)
    model = network(config, seeds, device, data.classes)
    if config.norm.sync:
        synchronise(model)
    forward, compilation = replicas.wrap(model), config.training.compile
    return ImageClassification(
        model,
        forward if compilation == "none" else torch.compile(forward, mode=compilation),
        data,
        aux_weight=config.model.aux_weight,
        precision=config.training.precision,
        probe_batches=config.probe.batches,
        rank=replicas.rank,
    )


def optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser, with L2 on weights alone. Adagrad and Adam keep PyTorch's constants."""
    spare_the_compiler()
    options = config.optimizer
    groups = decayed(model, options.l2)
    if options.name in ADAPTIVE:
        return ADAPTIVE[options.name](groups, lr=options.lr, foreach=True)
    return SGD(groups, lr=options.lr, momentum=options.momentum, fused=not of_digits(config))


def probes(config: Config, task: Task, steps: list[int]) -> list[Probe]:
    """Return what measures inside the network at these steps."""
    chosen: list[Probe] = [] if config.probe.name == "none" else [task.probe(steps)]
    if config.probe.instruments:
        chosen.append(InstrumentProbe(task, config.probe.instruments, config.probe.batches, rate(config), steps))
    return chosen


def rate(config: Config) -> Callable[[int], float]:
    """Return a function that gives the learning rate of each step, from 0; ``exponential`` is GoogLeNet's schedule."""
    lr, factor, every = config.optimizer.lr, config.schedule.factor, config.schedule.every
    if config.schedule.name == "constant":
        return lambda step: lr
    return lambda step: lr * factor ** math.floor(step / every + 1e-9)  # 30 / 10.000000000000002 counts as three
