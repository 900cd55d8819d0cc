"""The training steps that are timed: this repository's, timm's with the same network, and torchvision's GoogLeNet."""

import itertools
from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from bnrepro.compat import ensure_torchvision
from bnrepro.config.folders import CONFIGS
from bnrepro.config.schema import Config
from bnrepro.data.mnist import CLASSES as DIGITS
from bnrepro.identities.timing import seconds
from bnrepro.training import build
from bnrepro.training.tasks.images import ImageClassification
from bnrepro.training.validation import typed

CLASSES = {"smoke": DIGITS, "laptop": 50, "tiny64": 200, "paper": 1000}
Step = Callable[[], None]


def configuration(experiment: str, scale: str, device: str = "cpu", **training: str | int) -> Config:
    """Return the configuration that ``scripts/train.py`` would train, with these keys of ``training``."""
    overrides = [f"device={device}", *(f"training.{key}={value}" for key, value in training.items())]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return typed(compose("train", [f"experiment={experiment}", f"scale={scale}", *overrides]))


class Noise:
    """One mini-batch of noise on the device, for every step, so that input costs nothing."""

    steps_per_epoch = 1

    def __init__(self, config: Config, device: torch.device):
        size, pixels, self.classes = config.training.batch_size, config.data.pixels, CLASSES[config.scale["name"]]
        self.images = torch.randn(size, 3, pixels, pixels, device=device).to(memory_format=torch.channels_last)
        self.labels = torch.randint(self.classes, (size,), device=device)

    def batch(self, seed: int | list[int], step: int) -> tuple[Tensor, Tensor]:
        return self.images, self.labels


def ours(config: Config, task: ImageClassification) -> Step:
    """Return the training loop's own step, from the batch to the update."""
    optimizer, counter = build.optimizer(config, task.model), itertools.count()
    for group in optimizer.param_groups:
        group["lr"] = 0.0  # the weights must stay as they are, because the time may depend on them

    def step() -> None:
        index = next(counter)
        task.prepare([0], index)
        task.loss(*task.batch([0], index)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def peers(config: Config, data: Noise, device: torch.device, memory_format: torch.memory_format) -> Step:
    """Return the step of timm's train.py with the same network and timm's SGD.

    The peer of GoogLeNet is torchvision's, which has BN and two auxiliary heads, as its reference scripts train it.
    """
    ensure_torchvision()
    cross_entropy = nn.CrossEntropyLoss()
    if config.model.name == "googlenet":
        from torchvision.models import googlenet

        model = googlenet(weights=None, num_classes=data.classes, aux_logits=True, init_weights=False).to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, weight_decay=1e-4)
    else:
        from timm.optim import create_optimizer_v2

        model = build.network(config, [0], device, data.classes)
        optimizer = create_optimizer_v2(model, opt="momentum", lr=0.0, weight_decay=4e-5, momentum=0.9)
    model.to(memory_format=memory_format)
    mode = config.training.compile
    forward = model if mode == "none" else torch.compile(model, mode=mode)
    images = data.images.to(memory_format=memory_format)

    def loss() -> Tensor:
        outputs = forward(images)
        if isinstance(outputs, Tensor):
            return cross_entropy(outputs, data.labels)
        heads = cross_entropy(outputs.aux_logits1, data.labels) + cross_entropy(outputs.aux_logits2, data.labels)
        return cross_entropy(outputs.logits, data.labels) + 0.3 * heads

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.training.precision == "bfloat16"):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def rate(step: Step, images: int, count: int, device: torch.device, warm: int) -> Callable[[], float]:
    """Take ``warm`` untimed steps; each call of the result times ``count`` steps of so many images, in images/s."""

    def take(steps: int) -> None:
        for _ in range(steps):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    take(warm)
    return lambda: count * images / seconds(lambda: take(count))
