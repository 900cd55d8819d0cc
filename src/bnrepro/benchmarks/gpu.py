"""How fast one GPU trains a network for images, beside the same network in timm's step or torchvision's GoogLeNet."""

import itertools
import statistics
from pathlib import Path
from typing import Any

import torch

from bnrepro.benchmarks import costs, steps
from bnrepro.benchmarks.common import alternate, median_ratio, write
from bnrepro.benchmarks.steps import CLASSES, Setting
from bnrepro.config import overrides
from bnrepro.config.schema import Config
from bnrepro.errors import UserError
from bnrepro.models import registered  # noqa: F401 - registers the networks with timm
from bnrepro.training import build

BATCHES = (32, 128, 256)
PRECISIONS = ("float32", "bfloat16")
MODES = ("none", "reduce-overhead")  # of training.compile
WARM, STEPS, ROUNDS = 5, 20, 3


def measure(
    config: Config, batches: tuple[int, ...], modes: tuple[str, ...], device: torch.device, count: int = STEPS
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the raw numbers of the record: a row for each batch size, precision and mode of compilation.

    A setting that the card or PyTorch cannot do is named in the raw numbers with what was said, and costs nothing else.
    """
    classes, name = CLASSES[config.scale["name"]], f"{config.experiment}, {config.scale['name']}"
    against_torchvision = config.model.name == "googlenet"
    peer = "torchvision's googlenet" if against_torchvision else "timm's step"
    model = build.network(config, [0], device, classes)
    rows, images, missing = [], {}, {}
    for setting in itertools.starmap(Setting, itertools.product(batches, PRECISIONS, (True,), modes)):
        torch.compiler.reset()  # a second batch size would otherwise be compiled for any size, which is another program
        data = steps.noise(config.data.pixels, classes, setting, device)
        try:
            ours = steps.ours(config, model, data, setting, device)
            if against_torchvision:
                theirs = steps.torchvisions(data, classes, setting, device)
            else:
                theirs = steps.timms(model, data, setting, device)
            timed = {"ours": ours, peer: theirs}
            work = {kind: steps.rate(step, setting, count, device, WARM) for kind, step in timed.items()}
            rates = alternate(work, ROUNDS)
        except Exception as error:  # out of memory, or no compiler: a finding, too
            missing[str(setting)] = f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        images[str(setting)] = rates
        ratio = median_ratio(rates["ours"], rates[peer])
        what = f"images/s, {name}, {setting}, over {peer}"
        rows.append({"what": what, "ratio": ratio, "target": "> 1", "met": ratio > 1})
    return rows, {"images/s": images, "not measured": missing}


def main(out: Path, command: str, experiment: str = "figure2/bn_x5", scale: str = "tiny64") -> None:
    """Measure, write one file, and print what training costs at the fastest setting of mini-batches of 32.

    Raises:
        UserError: there is no GPU here, or no such experiment, or it trains no network for images.
    """
    overrides.check([f"experiment={experiment}", f"scale={scale}"], steps.CONFIGS)
    config = steps.configuration(experiment, scale)
    if config.model.name not in ("inception", "googlenet"):
        raise UserError(f"experiment {experiment} trains {config.model.name}; choose one of figure2/ or googlenet/")
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu needs an NVIDIA GPU, and PyTorch finds none here")
    torch.set_num_threads(1)
    rows, raw = measure(config, BATCHES, MODES, torch.device("cuda"))
    device = torch.cuda.get_device_name()
    write(out, "Training speed on one GPU", command, rows, {"device": device} | raw)
    small = {name: statistics.median(found["ours"]) for name, found in raw["images/s"].items() if "batch 32," in name}
    if config.model.name == "inception" and small:
        network = "inception" if config.norm.name == "none" else "bn_inception"
        fastest = max(small, key=small.__getitem__)
        costs.show({f"{network}, {scale}": costs.Speed(small[fastest], fastest)}, device)
