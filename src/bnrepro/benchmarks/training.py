"""How fast networks for images train, beside the same network in timm's step or torchvision's GoogLeNet.

``benchmark.py train`` measures each network at each scale; ``benchmark.py gpu`` one network on a GPU in each setting.
"""

import itertools
import math
import statistics
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
from bnrepro.timing import alternate
from bnrepro.training import build

ROUNDS = 3
COUNTS = {"laptop": 20, "tiny64": 2, "paper": 1}  # steps of `train` in a round, after one to warm up
EXPERIMENTS = {"figure2/bn_x5": COUNTS, "figure2/inception": COUNTS, "googlenet/bn": ("paper",)}
BATCH = 32  # Sec. 4.2
BATCHES, PRECISIONS, MODES = (BATCH, 128, 256), ("float32", "bfloat16"), ("none", "reduce-overhead")  # of `gpu`
GPU_COUNT, GPU_WARM = 20, 5  # steps in a round of `gpu`, and before the first


def measure(
    config: Config, memory_format: torch.memory_format, count: int, warm: int = 1
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Measure our step and its peer's side by side; return the row of the record and the images a second of each.

    Args:
        config: the network, its scale, the device and the setting.
        memory_format: of the peer's network and images; ours are channels-last.
        count: steps in a round.
        warm: steps before the first round.
    """
    device, size = build.device(config), config.training.batch_size
    data = steps.Noise(config, device)
    peer = "torchvision's googlenet" if config.model.name == "googlenet" else "timm's step"
    task = build.task(config, data, [0], device)
    work = {"ours": steps.ours(config, task), peer: steps.peers(config, data, device, memory_format)}
    rates = alternate({name: steps.rate(step, size, count, device, warm) for name, step in work.items()}, ROUNDS)
    title = f"images/s, {config.experiment}, {config.scale['name']}, {setting(config)}, over {peer}"
    return row(title, rates["ours"], rates[peer], "> 1"), rates


def setting(config: Config) -> str:
    """Describe how a step is computed."""
    training = config.training
    return f"batch {training.batch_size}, {training.precision}, compile {training.compile}"


def train(out: Path, command: str) -> None:
    """Measure each network at each scale in float32, on the GPU if there is one, else on one CPU thread."""
    device, name = "cpu", "one CPU thread"
    if torch.cuda.is_available():
        device, name = "cuda", torch.cuda.get_device_name()
    torch.set_num_threads(1)
    rows, images, speeds = [], {}, {}
    for experiment, scales in EXPERIMENTS.items():
        for scale in scales:
            config = steps.configuration(experiment, scale, device)
            # the scripts of the peers leave the memory format as it is
            measured, rates = measure(config, torch.contiguous_format, COUNTS[scale])
            rows.append(measured)
            images[f"{experiment}, {scale}"] = rates
            speeds[experiment, scale] = statistics.median(rates["ours"])
    write(out, "Training speed of the ImageNet networks", command, rows, {"device": name, "images/s": images})
    show_costs(speeds, name)


def by_setting(
    experiment: str, scale: str, batches: tuple[int, ...], modes: tuple[str, ...], device: str, count: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows and the raw numbers of each batch size, precision and mode of compilation.

    A setting that the card or PyTorch cannot do is named in the raw numbers with its error, and the others go on.
    """
    rows, images, missing = [], {}, {}
    for batch, precision, mode in itertools.product(batches, PRECISIONS, modes):
        config = steps.configuration(experiment, scale, device, batch_size=batch, precision=precision, compile=mode)
        torch.compiler.reset()  # else a second batch size is compiled for any size, which is another program
        try:
            measured, rates = measure(config, torch.channels_last, count, GPU_WARM)
        except Exception as error:  # out of memory, or no compiler: a finding, too
            missing[setting(config)] = f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        rows.append(measured)
        images[setting(config)] = rates
    return rows, {"images/s": images, "not measured": missing}


def gpu(out: Path, command: str, experiment: str, scale: str) -> None:
    """Measure one network in each setting, and print what training costs at the fastest with mini-batches of 32."""
    overrides.check([f"experiment={experiment}", f"scale={scale}"], steps.CONFIGS)
    network = steps.configuration(experiment, scale).model.name
    if network not in ("inception", "googlenet"):
        raise UserError(f"experiment {experiment} trains {network}; choose one of figure2/ or googlenet/")
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu needs an NVIDIA GPU, and PyTorch finds none here")
    torch.set_num_threads(1)
    rows, raw = by_setting(experiment, scale, BATCHES, MODES, "cuda", GPU_COUNT)
    name = torch.cuda.get_device_name()
    write(out, "Training speed on one GPU", command, rows, {"device": name} | raw)
    medians = {key: statistics.median(rates["ours"]) for key, rates in raw["images/s"].items()}
    if small := {key: rate for key, rate in medians.items() if key.startswith(f"batch {BATCH},")}:
        fastest = max(small, key=small.__getitem__)
        show_costs({(experiment, scale): small[fastest]}, f"{name} ({fastest})")


def show_costs(speeds: dict[tuple[str, str], float], device: str) -> None:
    """Print how long networks train at measured speeds, without evaluation and input.

    Args:
        speeds: images a second at mini-batches of 32, by experiment and scale.
        device: the device that they were measured on.
    """
    columns = ["run", "scale", "mini-batches of 32", f"measured: images/s ({device})", "extrapolated: hours"]
    table = Table(*columns, box=None, header_style="bold")
    for (experiment, scale), speed in speeds.items():
        config = steps.configuration(experiment, scale)
        budgets = {"all of it": config.training.total_steps}
        printed = PRINTED.get(config.variant)
        if scale == "paper" and printed and math.isfinite(printed.steps):
            budgets[f"to {PRINTED[BASELINE].top1:.1%} as printed"] = printed.steps
        for budget, batches in budgets.items():
            hours = batches * BATCH / speed / 3600
            table.add_row(f"{experiment}, {budget}", scale, f"{batches:,.0f}", f"{speed:,.0f}", f"{hours:,.2f}")
    console = Console()
    console.width = console.width if console.is_terminal else 300  # a pipe has no width; rows stay whole there
    console.print(table)
