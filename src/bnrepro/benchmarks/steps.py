"""The training steps that are timed: the loop's own, timm's with the same network, torchvision's GoogLeNet."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from bnrepro import build
from bnrepro.config import Config
from bnrepro.data.augment import Augmentation
from bnrepro.data.mnist import CLASSES as DIGITS
from bnrepro.data.mnist import PIXELS as DIGIT_PIXELS
from bnrepro.data.resident import ResidentImages
from bnrepro.tasks.images import ImageClassification, Images
from bnrepro.tasks.stacked_mnist import StackedMNIST
from bnrepro.validation import typed

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
CLASSES = {"smoke": DIGITS, "laptop": 50, "tiny64": 200, "paper": 1000}
MODES = {"none": "eager", "default": "compile", "reduce-overhead": "CUDA graph"}  # by training.compile
ON_GPUS = ("tf32", "reduce-overhead")  # a precision and a mode of compilation
Step = Callable[[], None]


class NeedsGPU(Exception):
    """A setting that means nothing on a CPU."""


@dataclass(frozen=True)
class Setting:
    """How a step is computed; ``tuned`` lets cuDNN try its algorithms on each new shape."""

    batch: int = 32
    precision: str = "float32"
    channels_last: bool = True
    compile: str = "none"
    tuned: bool = False

    def __str__(self) -> str:
        order = "channels_last" if self.channels_last else "NCHW"
        tuned = ", tuned" if self.tuned else ""
        return f"batch {self.batch}, {self.precision}, {order}, {MODES[self.compile]}{tuned}"

    @property
    def memory_format(self) -> torch.memory_format:
        """How maps and weights lie in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, on: torch.device) -> torch.autocast:
        """The context of a peer's forward pass."""
        return torch.autocast(on.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def check(self, on: torch.device) -> None:
        """Raise `NeedsGPU` where the setting is not one of this device."""
        if on.type != "cuda" and {self.precision, self.compile} & set(ON_GPUS):
            raise NeedsGPU("needs a GPU")

    def choose(self, on: torch.device) -> None:
        """Set what PyTorch keeps for the whole process; `NeedsGPU` as from `check`."""
        self.check(on)
        config = Config(device=str(on))
        config.training.precision = self.precision
        build.device(config)
        torch.backends.cudnn.benchmark = self.tuned


@dataclass
class Noise:
    """One mini-batch of noise, on the device, again and again: input costs nothing."""

    images: Tensor
    labels: Tensor
    steps_per_epoch: int = 1

    def batch(self, seed: int | list[int], step: int) -> tuple[Tensor, Tensor]:
        return self.images, self.labels


def configuration(experiment: str, scale: str, *overrides: str) -> Config:
    """What ``scripts/train.py`` would train."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return typed(compose("train", [f"experiment={experiment}", f"scale={scale}", *overrides]))


def noise(pixels: int, classes: int, setting: Setting, on: torch.device) -> Noise:
    """Images (N, 3, pixels, pixels) and labels (N,)."""
    images = torch.randn(setting.batch, 3, pixels, pixels, device=on).to(memory_format=setting.memory_format)
    return Noise(images, torch.randint(classes, (setting.batch,), device=on))


def resident(config: Config, classes: int, batch: int, on: torch.device, images: int = 4096) -> ResidentImages:
    """Random pictures of the configuration's size, read as its run would read them."""
    pixels, rng = config.data.pixels, np.random.default_rng(0)
    part = rng.integers(0, 256, (images, 3, pixels, pixels), np.uint8), np.arange(images) % classes
    return ResidentImages(part, part, batch, pixels, config.data.shuffle, Augmentation.of(config.augment), on)


def ours(config: Config, model: nn.Module, data: Images, setting: Setting, on: torch.device) -> Step:
    """The loop's own step, from batch to update."""
    setting.choose(on)
    model.to(memory_format=setting.memory_format).train()
    forward = model if setting.compile == "none" else torch.compile(model, mode=setting.compile)
    options = {"aux_weight": config.model.aux_weight, "precision": setting.precision, "probe_batches": 0}
    return _step(config, ImageClassification(model, forward, data, **options), model)


def mlp(config: Config, setting: Setting, on: torch.device) -> Step:
    """The loop's own step for Figure 1's network, without its input; compiled as a run of it is not."""
    setting.choose(on)
    model = build.network(config, [0], on).train()
    images = torch.randint(2, (1, setting.batch, DIGIT_PIXELS), device=on).float()
    task = StackedMNIST(model, Noise(images, torch.randint(DIGITS, (1, setting.batch), device=on)), 0)
    if setting.compile != "none":
        task.model = torch.compile(model, mode=setting.compile)
    return _step(config, task, model)


def _step(config: Config, task: ImageClassification | StackedMNIST, model: nn.Module) -> Step:
    optimizer, counter = build.optimizer(config, model), itertools.count()
    for group in optimizer.param_groups:
        group["lr"] = 0.0  # the weights stay as they were drawn: what they become must not change the time

    def step() -> None:
        k = next(counter)
        task.prepare([0], k)
        task.loss(*task.batch([0], k)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def timms(model: nn.Module, data: Noise, setting: Setting, on: torch.device) -> Step:
    """The step of timm's train.py, and its SGD."""
    from timm.optim import create_optimizer_v2

    setting.choose(on)
    model.to(memory_format=setting.memory_format).train()
    loss = nn.CrossEntropyLoss()
    optimizer = create_optimizer_v2(model, opt="momentum", lr=0.0, weight_decay=4e-5, momentum=0.9)

    def step() -> None:
        with setting.autocast(on):
            value = loss(model(data.images), data.labels)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def torchvisions(data: Noise, classes: int, setting: Setting, on: torch.device) -> Step:
    """torchvision's GoogLeNet (with BN and two heads), trained as its reference scripts do."""
    from torchvision.models import googlenet

    setting.choose(on)
    model = googlenet(weights=None, num_classes=classes, aux_logits=True, init_weights=False).to(on).train()
    model.to(memory_format=setting.memory_format)
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        with setting.autocast(on):
            found = model(data.images)
            heads = loss(found.aux_logits1, data.labels) + loss(found.aux_logits2, data.labels)
            value = loss(found.logits, data.labels) + 0.3 * heads
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step
