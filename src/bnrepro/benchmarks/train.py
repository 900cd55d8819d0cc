"""How fast the ImageNet networks train, against torchvision's GoogLeNet and timm's train step, and what that costs."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bnrepro import build
from bnrepro.benchmarks.common import alternate, median_ratio, seconds, write
from bnrepro.config import Config
from bnrepro.models import registered  # noqa: F401 - registers the networks with timm
from bnrepro.tasks.images import ImageClassification
from bnrepro.validation import typed

BATCH, ROUNDS = 32, 3
STEPS = {"laptop": 20, "tiny64": 2, "paper": 1}  # measured steps, after one to warm up
CLASSES = {"laptop": 50, "tiny64": 200, "paper": 1000}
CONFIGS = Path(__file__).resolve().parents[3] / "configs"
PAPER_STEPS = {"Inception": 31.0e6, "BN-Baseline": 13.3e6, "BN-x5": 2.1e6, "BN-x30": 6.0e6}  # Fig. 3 and Sec. 4.2.2
GPUS = (1, 8, 64)


@dataclass
class Noise:
    """One mini-batch of noise, on the device, again and again: input costs nothing."""

    images: Tensor
    labels: Tensor
    steps_per_epoch: int = 1

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return self.images, self.labels


def _config(experiment: str, scale: str) -> Config:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return typed(compose("train", [f"experiment={experiment}", f"scale={scale}"]))


def _noise(config: Config, classes: int, on: torch.device) -> Noise:
    pixels = config.data.pixels
    images = torch.randn(BATCH, 3, pixels, pixels, device=on).to(memory_format=torch.channels_last)
    return Noise(images, torch.randint(classes, (BATCH,), device=on))


def _rate(step: Callable[[], None], steps: int, on: torch.device) -> Callable[[], float]:
    """Images a second of a training step."""

    def work() -> None:
        for _ in range(steps):
            step()
        if on.type == "cuda":
            torch.cuda.synchronize(on)

    step()
    return lambda: steps * BATCH / seconds(work)


def ours(experiment: str, scale: str, on: torch.device) -> Callable[[], float]:
    """The loop's own step, from batch to update."""
    config, classes = _config(experiment, scale), CLASSES[scale]
    model = build.network(config, [0], on, classes)
    options = {"aux_weight": 0.3, "precision": config.training.precision, "probe_batches": 0}
    task = ImageClassification(model, model, _noise(config, classes, on), **options)
    optimizer = build.optimizer(config, model)
    counter = itertools.count()

    def step() -> None:
        k = next(counter)
        task.prepare([0], k)
        task.loss(*task.batch([0], k)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    return _rate(step, STEPS[scale], on)


def timms(experiment: str, scale: str, on: torch.device) -> Callable[[], float]:
    """The same network in the step of timm's train.py with its default memory format, and its SGD."""
    from timm.optim import create_optimizer_v2

    config, classes = _config(experiment, scale), CLASSES[scale]
    model = build.network(config, [0], on, classes).to(memory_format=torch.contiguous_format)
    noise, loss = _noise(config, classes, on), nn.CrossEntropyLoss()
    images = noise.images.contiguous()
    optimizer = create_optimizer_v2(model, opt="momentum", lr=1e-3, weight_decay=4e-5, momentum=0.9)

    def step() -> None:
        loss(model(images), noise.labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return _rate(step, STEPS[scale], on)


def torchvisions(on: torch.device) -> Callable[[], float]:
    """torchvision's GoogLeNet (with BN and two heads) at 224 px, trained as its reference scripts do."""
    from torchvision.models import googlenet

    model = googlenet(weights=None, num_classes=CLASSES["paper"], aux_logits=True, init_weights=False).to(on).train()
    noise, loss = _noise(_config("googlenet/bn", "paper"), CLASSES["paper"], on), nn.CrossEntropyLoss()
    images = noise.images.contiguous()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        found = model(images)
        heads = loss(found.aux_logits1, noise.labels) + loss(found.aux_logits2, noise.labels)
        optimizer.zero_grad()
        (loss(found.logits, noise.labels) + 0.3 * heads).backward()
        optimizer.step()

    return _rate(step, STEPS["paper"], on)


def costs(rates: dict[str, float]) -> Table:
    """Hours of training that each scale's T takes at the measured rates; the paper's steps on several devices.

    Evaluation is left out, and devices are taken to share the images out without loss: assumptions, not measurements.
    On n devices a step is then n mini-batches of 32, and there are n times fewer steps: another experiment.
    """
    table = Table(
        "scale", "what", "mini-batches of 32", *(f"{n} device{'s' if n > 1 else ''}, hours" for n in GPUS), box=None
    )
    for scale in STEPS:
        config = _config("figure2/bn_baseline", scale)
        rows = PAPER_STEPS if scale == "paper" else {"T": config.training.total_steps}
        for what, steps in rows.items():
            arm = "inception" if what == "Inception" else "bn_inception"
            hours = steps * BATCH / rates[f"{arm}, {scale}"] / 3600
            table.add_row(scale, what, f"{steps:,.0f}", *(f"{hours / n:,.1f}" for n in GPUS))
    return table


def main(out: Path, command: str) -> None:
    """Measure everything and write one file."""
    on = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    rows, raw, rates = [], {"device": torch.cuda.get_device_name() if on.type == "cuda" else "one CPU thread"}, {}
    for scale in STEPS:
        work = {
            f"bn_inception, {scale}": ours("figure2/bn_x5", scale, on),
            f"bn_inception in timm's step, {scale}": timms("figure2/bn_x5", scale, on),
            f"inception, {scale}": ours("figure2/inception", scale, on),
        }
        if scale == "paper":
            work |= {
                "bn_googlenet, paper": ours("googlenet/bn", scale, on),
                "torchvision's googlenet": torchvisions(on),
            }
        found = alternate(work, ROUNDS)
        raw[scale] = found
        rates |= {name: sorted(values)[len(values) // 2] for name, values in found.items()}
        pairs = [(f"bn_inception, {scale}", f"bn_inception in timm's step, {scale}")]
        pairs += [("bn_googlenet, paper", "torchvision's googlenet")] if scale == "paper" else []
        for mine, peer in pairs:
            ratio = median_ratio(found[mine], found[peer])
            what = f"images/s, {mine} over {peer} ({raw['device']})"
            rows.append({"what": what, "ratio": ratio, "target": "> 1", "met": ratio > 1})
    raw["images a second"] = rates
    write(out, "Training speed of the ImageNet networks", command, rows, raw)
    Console(width=140).print(costs(rates))
