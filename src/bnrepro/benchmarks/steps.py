"""The training steps that are timed: the loop's own, timm's with the same network, torchvision's GoogLeNet."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from bnrepro.config.folders import CONFIGS
from bnrepro.config.schema import Config
from bnrepro.data.mnist import CLASSES as DIGITS
from bnrepro.timing import seconds
from bnrepro.training import build
from bnrepro.training.tasks.images import ImageClassification
from bnrepro.training.validation import typed

CLASSES = {"smoke": DIGITS, "laptop": 50, "tiny64": 200, "paper": 1000}
MODES = {"none": "eager", "default": "compile", "reduce-overhead": "CUDA graph"}  # by training.compile
Step = Callable[[], None]


@dataclass(frozen=True)
class Setting:
    """How a step is computed."""

    batch: int = 32
    precision: str = "float32"
    channels_last: bool = True
    compile: str = "none"

    def __str__(self) -> str:
        order = "channels_last" if self.channels_last else "NCHW"
        return f"batch {self.batch}, {self.precision}, {order}, {MODES[self.compile]}"

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def apply(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Set what PyTorch keeps for the whole process, and the network as a step calls it."""
        config = Config(device=str(device))
        config.training.precision = self.precision
        build.device(config)
        model.to(memory_format=self.memory_format).train()
        return model if self.compile == "none" else torch.compile(model, mode=self.compile)


@dataclass
class Noise:
    """One mini-batch of noise, on the device, again and again: input costs nothing."""

    images: Tensor
    labels: Tensor
    steps_per_epoch: int = 1

    def batch(self, seed: int | list[int], step: int) -> tuple[Tensor, Tensor]:
        return self.images, self.labels


def configuration(experiment: str, scale: str) -> Config:
    """What ``scripts/train.py`` would train."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return typed(compose("train", [f"experiment={experiment}", f"scale={scale}"]))


def noise(pixels: int, classes: int, setting: Setting, device: torch.device) -> Noise:
    """Images (N, 3, pixels, pixels) and labels (N,)."""
    images = torch.randn(setting.batch, 3, pixels, pixels, device=device).to(memory_format=setting.memory_format)
    return Noise(images, torch.randint(classes, (setting.batch,), device=device))


def ours(config: Config, model: nn.Module, data: Noise, setting: Setting, device: torch.device) -> Step:
    """The loop's own step, from batch to update."""
    options = {"aux_weight": config.model.aux_weight, "precision": setting.precision, "probe_batches": 0}
    task = ImageClassification(model, setting.apply(model, device), data, **options)
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


def timms(model: nn.Module, data: Noise, setting: Setting, device: torch.device) -> Step:
    """The step of timm's train.py, and its SGD."""
    from timm.optim import create_optimizer_v2

    optimizer = create_optimizer_v2(model, opt="momentum", lr=0.0, weight_decay=4e-5, momentum=0.9)
    loss = nn.CrossEntropyLoss()
    return _peers(setting.apply(model, device), loss, optimizer, data, setting, device)


def torchvisions(data: Noise, classes: int, setting: Setting, device: torch.device) -> Step:
    """torchvision's GoogLeNet (with BN and two heads), trained as its reference scripts do."""
    from torchvision.models import googlenet

    model = googlenet(weights=None, num_classes=classes, aux_logits=True, init_weights=False).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, weight_decay=1e-4)
    cross_entropy = nn.CrossEntropyLoss()

    def loss(outputs, labels: Tensor) -> Tensor:
        heads = cross_entropy(outputs.aux_logits1, labels) + cross_entropy(outputs.aux_logits2, labels)
        return cross_entropy(outputs.logits, labels) + 0.3 * heads

    return _peers(setting.apply(model, device), loss, optimizer, data, setting, device)


def _peers(
    forward: nn.Module,
    loss: Callable[..., Tensor],
    optimizer: torch.optim.Optimizer,
    data: Noise,
    setting: Setting,
    device: torch.device,
) -> Step:
    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bfloat16"):
            value = loss(forward(data.images), data.labels)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def rate(step: Step, setting: Setting, count: int, device: torch.device, warm: int = 1) -> Callable[[], float]:
    """Take ``warm`` steps that do not count; then each call takes ``count`` steps and gives the images a second."""

    def take(steps: int) -> None:
        for _ in range(steps):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    take(warm)
    return lambda: count * setting.batch / seconds(lambda: take(count))
