"""How fast networks for images train, beside the same network in timm's step or torchvision's GoogLeNet."""

import itertools
import timeit
from collections.abc import Callable
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from bnrepro.benchmarks.record import row
from bnrepro.compat import ensure_torchvision
from bnrepro.config.folders import CONFIGS
from bnrepro.config.schema import Config
from bnrepro.data.mnist import CLASSES as DIGITS
from bnrepro.errors import UserError
from bnrepro.identities.timing import alternate
from bnrepro.training import build
from bnrepro.training.tasks.images import ImageClassification
from bnrepro.training.validation import typed

ROUNDS = 3
STEPS = {"laptop": 20, "tiny64": 2, "paper": 1}  # in a round, after one step to warm up
EXPERIMENTS = {"figure2/bn_x5": STEPS, "figure2/inception": STEPS, "googlenet/bn": ("paper",)}
CLASSES = {"smoke": DIGITS, "laptop": 50, "tiny64": 200, "paper": 1000}
GPU_SETTINGS = {  # each with every other
    "training.batch_size": (32, 128, 256),
    "training.precision": ("float32", "tf32", "bfloat16"),
    "training.compile": ("none", "reduce-overhead"),
}
GPU_STEPS = 20
Step = Callable[[], None]


def configuration(experiment: str, scale: str, device: str = "cpu", **settings: Any) -> Config:
    """Return the configuration that ``scripts/train.py`` would train."""
    words = {"experiment": experiment, "scale": scale, "device": device} | settings
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return typed(compose("train", [f"{key}={value}" for key, value in words.items()]))


class Noise:
    """One mini-batch of noise on the device, for every step, so that input costs nothing."""

    steps_per_epoch = 1

    def __init__(self, config: Config, device: torch.device):
        size, pixels, self.classes = config.training.batch_size, config.data.pixels, CLASSES[config.scale["name"]]
        self.images = torch.randn(size, 3, pixels, pixels, device=device).to(memory_format=torch.channels_last)
        self.labels = torch.randint(self.classes, (size,), device=device)

    def batch(self, seed: int | list[int], step: int) -> tuple[Tensor, Tensor]:
        return self.images, self.labels


def our_step(config: Config, task: ImageClassification) -> Step:
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


def peer_step(config: Config, data: Noise, device: torch.device) -> Step:
    """Return the step of timm's train.py with the same network and timm's SGD.

    The peer of GoogLeNet is torchvision's, which has BN and two auxiliary heads, as its reference scripts train it.
    """
    ensure_torchvision()
    if config.model.name == "googlenet":
        from torchvision.models import googlenet

        model = googlenet(weights=None, num_classes=data.classes, aux_logits=True, init_weights=False).to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, weight_decay=1e-4)
    else:
        from timm.optim import create_optimizer_v2

        model = build.network(config, [0], device, data.classes)
        optimizer = create_optimizer_v2(model, opt="momentum", lr=0.0, weight_decay=4e-5, momentum=0.9)
    model.to(memory_format=torch.contiguous_format)  # as the peers' scripts leave it; ours is channels-last
    images = data.images.contiguous()
    cross_entropy = nn.CrossEntropyLoss()

    def step() -> None:
        outputs = model(images)
        if isinstance(outputs, Tensor):
            loss = cross_entropy(outputs, data.labels)
        else:
            heads = [cross_entropy(logits, data.labels) for logits in outputs]
            loss = heads[0] + 0.3 * (heads[1] + heads[2])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def rate(step: Step, images: int, count: int, device: torch.device) -> Callable[[], float]:
    """Take one untimed step; each call of the result times ``count`` steps of so many images, in images/s."""

    def take(steps: int) -> None:
        for _ in range(steps):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    take(1)
    return lambda: count * images / timeit.timeit(lambda: take(count), number=1)


def measure(config: Config, count: int) -> tuple[str, dict[str, list[float]]]:
    """Return the peer's name, and the images a second of ``count`` steps of ours and of the peer's in each round."""
    device = build.device(config)
    data = Noise(config, device)
    task = build.task(config, data, [0], device)
    peer = "torchvision's googlenet" if config.model.name == "googlenet" else "timm's step"
    steps = {"ours": our_step(config, task), peer: peer_step(config, data, device)}
    rates = {name: rate(step, config.training.batch_size, count, device) for name, step in steps.items()}
    return peer, alternate(rates, ROUNDS)


def train() -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Measure each network at each scale in float32, on the GPU if there is one, else on one CPU thread.

    Returns:
        the title, the rows and the raw numbers of the record.
    """
    device, name = "cpu", "one CPU thread"
    if torch.cuda.is_available():
        device, name = "cuda", torch.cuda.get_device_name()
    torch.set_num_threads(1)
    rows, images = [], {}
    for experiment, scales in EXPERIMENTS.items():
        for scale in scales:
            title = f"{experiment}, {scale}"
            peer, images[title] = measure(configuration(experiment, scale, device), STEPS[scale])
            rows.append(row(f"images/s, {title}, over {peer}", images[title]["ours"], images[title][peer], "> 1"))
    return "Training speed of the ImageNet networks", rows, {"device": name, "images/s": images}


def gpu() -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Measure BN-x5 at scale `tiny64` on a GPU in each setting; one that cannot be measured is recorded with its error.

    Returns:
        the title, the rows and the raw numbers of the record.
    """
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu needs an NVIDIA GPU, and PyTorch finds none here")
    rows, images, missing = [], {}, {}
    for values in itertools.product(*GPU_SETTINGS.values()):
        torch.compiler.reset()  # else a second batch size is compiled for any size, which is another program
        settings = dict(zip(GPU_SETTINGS, values, strict=True))
        title = " ".join(f"{key}={value}" for key, value in settings.items())
        try:
            peer, rates = measure(configuration("figure2/bn_x5", "tiny64", "cuda", **settings), GPU_STEPS)
        except RuntimeError as error:
            missing[title] = str(error).splitlines()[0]
            continue
        images[title] = rates
        rows.append(row(f"images/s, {title}, over {peer}", rates["ours"], rates[peer], "> 1"))
    raw = {"device": torch.cuda.get_device_name(), "images/s": images, "not measured": missing}
    return "Training speed on one GPU", rows, raw
