"""How fast the ImageNet networks train, against torchvision's GoogLeNet and timm's train step, and what that costs."""

from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bnrepro import build
from bnrepro.benchmarks import steps
from bnrepro.benchmarks.common import alternate, median_ratio, seconds, write
from bnrepro.benchmarks.steps import CLASSES, Setting, configuration, noise
from bnrepro.models import registered  # noqa: F401 - registers the networks with timm

ROUNDS = 3
STEPS = {"laptop": 20, "tiny64": 2, "paper": 1}  # measured steps, after one to warm up
PAPER_STEPS = {"Inception": 31.0e6, "BN-Baseline": 13.3e6, "BN-x5": 2.1e6, "BN-x30": 6.0e6}  # Fig. 3 and Sec. 4.2.2
GPUS = (1, 8, 64)
OURS, PEERS = Setting(), Setting(channels_last=False)  # timm's and torchvision's scripts leave the format as it is


def _rate(step: Callable[[], None], count: int, on: torch.device) -> Callable[[], float]:
    """Images a second of a training step."""

    def work() -> None:
        for _ in range(count):
            step()
        if on.type == "cuda":
            torch.cuda.synchronize(on)

    step()
    return lambda: count * OURS.batch / seconds(work)


def ours(experiment: str, scale: str, on: torch.device) -> Callable[[], float]:
    """The loop's own step, from batch to update."""
    config, classes = configuration(experiment, scale), CLASSES[scale]
    model = build.network(config, [0], on, classes)
    data = noise(config.data.pixels, classes, OURS, on)
    return _rate(steps.ours(config, model, data, OURS, on), STEPS[scale], on)


def timms(experiment: str, scale: str, on: torch.device) -> Callable[[], float]:
    """The same network in the step of timm's train.py with its default memory format, and its SGD."""
    config, classes = configuration(experiment, scale), CLASSES[scale]
    model = build.network(config, [0], on, classes)
    data = noise(config.data.pixels, classes, PEERS, on)
    return _rate(steps.timms(model, data, PEERS, on), STEPS[scale], on)


def torchvisions(on: torch.device) -> Callable[[], float]:
    """torchvision's GoogLeNet at 224 px."""
    data = noise(configuration("googlenet/bn", "paper").data.pixels, CLASSES["paper"], PEERS, on)
    return _rate(steps.torchvisions(data, CLASSES["paper"], PEERS, on), STEPS["paper"], on)


def costs(rates: dict[str, float]) -> Table:
    """Hours of training that each scale's T takes at the measured rates; the paper's steps on several devices.

    Evaluation is left out, and devices are taken to share the images out without loss: assumptions, not measurements.
    On n devices a step is then n mini-batches of 32, and there are n times fewer steps: another experiment.
    """
    table = Table(
        "scale", "what", "mini-batches of 32", *(f"{n} device{'s' if n > 1 else ''}, hours" for n in GPUS), box=None
    )
    for scale in STEPS:
        config = configuration("figure2/bn_baseline", scale)
        rows = PAPER_STEPS if scale == "paper" else {"T": config.training.total_steps}
        for what, count in rows.items():
            arm = "inception" if what == "Inception" else "bn_inception"
            hours = count * OURS.batch / rates[f"{arm}, {scale}"] / 3600
            table.add_row(scale, what, f"{count:,.0f}", *(f"{hours / n:,.1f}" for n in GPUS))
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
