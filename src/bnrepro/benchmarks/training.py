"""How fast networks for images train, beside the same network in timm's step or torchvision's GoogLeNet.

``benchmark.py train`` measures each network at each scale; ``benchmark.py gpu`` one network on a GPU in each setting.
"""

import itertools
import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bnrepro.analysis.figures.figure2 import BASELINE, PRINTED
from bnrepro.benchmarks import steps
from bnrepro.benchmarks.record import row, write
from bnrepro.config import overrides
from bnrepro.config.schema import Config
from bnrepro.errors import UserError
from bnrepro.identities.timing import alternate
from bnrepro.training import build

ROUNDS = 3
COUNTS = {"laptop": 20, "tiny64": 2, "paper": 1}  # steps of `train` in a round, after one to warm up
EXPERIMENTS = {"figure2/bn_x5": COUNTS, "figure2/inception": COUNTS, "googlenet/bn": ("paper",)}
BATCH = 32  # Sec. 4.2
BATCHES, PRECISIONS, MODES = (BATCH, 128, 256), ("float32", "bfloat16"), ("none", "reduce-overhead")  # of `gpu`
GPU_COUNT, GPU_WARM = 20, 5  # steps in a round of `gpu`, and before the first


def _describe(config: Config) -> str:
    """Return a network, its scale and the setting of its step in words."""
    training = config.training
    setting = f"batch {training.batch_size}, {training.precision}, compile {training.compile}"
    return f"{config.experiment}, {config.scale['name']}, {setting}"


def compare(
    work: Iterable[tuple[Config, int]], memory_format: torch.memory_format, warm: int
) -> tuple[list[dict[str, Any]], dict[str, Any], list[tuple[Config, float]]]:
    """Measure each network's step and its peer's side by side.

    A setting that the machine or PyTorch cannot do is named with its error, and the others go on.

    Args:
        work: the networks, each with the number of steps in a round.
        memory_format: of the peers' networks and images; ours are channels-last.
        warm: steps before the first round.

    Returns:
        the rows and the raw numbers of the record, and our images a second with each network.
    """
    rows, images, missing, speeds = [], {}, {}, []
    for config, count in work:
        torch.compiler.reset()  # else a second batch size is compiled for any size, which is another program
        peer = "torchvision's googlenet" if config.model.name == "googlenet" else "timm's step"
        title, size = _describe(config), config.training.batch_size
        try:
            device = build.device(config)
            data = steps.Noise(config, device)
            task = build.task(config, data, [0], device)
            both = {"ours": steps.ours(config, task), peer: steps.peers(config, data, device, memory_format)}
            timed = {name: steps.rate(step, size, count, device, warm) for name, step in both.items()}
            images[title] = rates = alternate(timed, ROUNDS)
        except Exception as error:  # out of memory, or no compiler: a finding, too
            missing[title] = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"not measured: {title}: {missing[title]}")
            continue
        rows.append(row(f"images/s, {title}, over {peer}", rates["ours"], rates[peer], "> 1"))
        speeds.append((config, statistics.median(rates["ours"])))
    return rows, {"images/s": images, "not measured": missing}, speeds


def train(out: Path, command: str) -> None:
    """Measure each network at each scale in float32, on the GPU if there is one, else on one CPU thread."""
    device, name = "cpu", "one CPU thread"
    if torch.cuda.is_available():
        device, name = "cuda", torch.cuda.get_device_name()
    torch.set_num_threads(1)
    chosen = [(experiment, scale) for experiment, scales in EXPERIMENTS.items() for scale in scales]
    work = [(steps.configuration(experiment, scale, device), COUNTS[scale]) for experiment, scale in chosen]
    rows, raw, speeds = compare(work, torch.contiguous_format, warm=1)  # the peers' scripts leave the format as it is
    write(out, "Training speed of the ImageNet networks", command, rows, {"device": name} | raw)
    show_costs(speeds, name)


def gpu(out: Path, command: str, experiment: str, scale: str) -> None:
    """Measure one network in each setting, and print what training costs at the fastest with mini-batches of 32."""
    overrides.check([f"experiment={experiment}", f"scale={scale}"], steps.CONFIGS)
    network = steps.configuration(experiment, scale).model.name
    if network not in ("inception", "googlenet"):
        raise UserError(f"experiment {experiment} trains {network}; choose one of figure2/ or googlenet/")
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu needs an NVIDIA GPU, and PyTorch finds none here")
    torch.set_num_threads(1)
    work = [
        (steps.configuration(experiment, scale, "cuda", batch_size=batch, precision=precision, compile=mode), GPU_COUNT)
        for batch, precision, mode in itertools.product(BATCHES, PRECISIONS, MODES)
    ]
    rows, raw, speeds = compare(work, torch.channels_last, GPU_WARM)
    name = torch.cuda.get_device_name()
    write(out, "Training speed on one GPU", command, rows, {"device": name} | raw)
    papers = [(config, speed) for config, speed in speeds if config.training.batch_size == BATCH]
    show_costs(sorted(papers, key=lambda each: each[1])[-1:], name)


def show_costs(speeds: list[tuple[Config, float]], device: str) -> None:
    """Print how long networks train at measured speeds, without evaluation and input.

    Args:
        speeds: networks, and the images a second on which each trains at mini-batches of 32.
        device: the device that they were measured on.
    """
    columns = ["run", "mini-batches of 32", f"measured: images/s ({device})", "extrapolated: hours"]
    table = Table(*columns, box=None, header_style="bold")
    for config, speed in speeds:
        budgets = {"all of it": config.training.total_steps}
        printed = PRINTED.get(config.variant)
        if config.scale["name"] == "paper" and printed and math.isfinite(printed.steps):
            budgets[f"to {PRINTED[BASELINE].top1:.1%} as printed"] = printed.steps
        for budget, batches in budgets.items():
            hours = batches * BATCH / speed / 3600
            table.add_row(f"{_describe(config)}: {budget}", f"{batches:,.0f}", f"{speed:,.0f}", f"{hours:,.2f}")
    console = Console()
    console.width = console.width if console.is_terminal else 300  # a pipe has no width; rows stay whole there
    console.print(table)
