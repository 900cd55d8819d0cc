"""How fast the ImageNet networks train, against torchvision's GoogLeNet and timm's train step, and what that costs."""

from collections.abc import Callable
from pathlib import Path

import torch

from bnrepro.benchmarks import costs, steps
from bnrepro.benchmarks.common import alternate, median_ratio, write
from bnrepro.benchmarks.steps import CLASSES, Setting, configuration, noise
from bnrepro.models import registered  # noqa: F401 - registers the networks with timm
from bnrepro.training import build

ROUNDS = 3
STEPS = {"laptop": 20, "tiny64": 2, "paper": 1}  # measured steps, after one to warm up
OURS, PEERS = Setting(), Setting(channels_last=False)  # timm's and torchvision's scripts leave the format as it is


def ours(experiment: str, scale: str, on: torch.device) -> Callable[[], float]:
    """The loop's own step, from batch to update."""
    config, classes = configuration(experiment, scale), CLASSES[scale]
    model = build.network(config, [0], on, classes)
    data = noise(config.data.pixels, classes, OURS, on)
    return steps.rate(steps.ours(config, model, data, OURS, on), OURS, STEPS[scale], on)


def timms(experiment: str, scale: str, on: torch.device) -> Callable[[], float]:
    """The same network in the step of timm's train.py with its default memory format, and its SGD."""
    config, classes = configuration(experiment, scale), CLASSES[scale]
    model = build.network(config, [0], on, classes)
    data = noise(config.data.pixels, classes, PEERS, on)
    return steps.rate(steps.timms(model, data, PEERS, on), PEERS, STEPS[scale], on)


def torchvisions(on: torch.device) -> Callable[[], float]:
    """torchvision's GoogLeNet at 224 px."""
    data = noise(configuration("googlenet/bn", "paper").data.pixels, CLASSES["paper"], PEERS, on)
    return steps.rate(steps.torchvisions(data, CLASSES["paper"], PEERS, on), PEERS, STEPS["paper"], on)


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
    costs.show({name: costs.Speed(rate, str(OURS)) for name, rate in rates.items()}, raw["device"])
