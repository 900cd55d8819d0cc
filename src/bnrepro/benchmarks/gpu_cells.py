"""What ``benchmark.py gpu`` times: which settings of which networks, the loader, the peers, processes side by side."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from bnrepro import build
from bnrepro.benchmarks import copies, steps
from bnrepro.benchmarks.cells import Cells, Effort, timed
from bnrepro.benchmarks.steps import CLASSES, MODES, Setting, configuration, noise
from bnrepro.config import Config
from bnrepro.models.cost import Cost, cost

NETWORKS = {"bn_inception": "figure2/bn_x5", "inception": "figure2/inception"}
MLPS = {"MLP with BN": "figure1/bn", "MLP": "figure1/plain"}
PRECISIONS = ("float32", "tf32", "bfloat16")
TIMMS = (Setting(precision="tf32", channels_last=False, tuned=True), Setting(precision="bfloat16", tuned=True))
TIMM = "timm's step"
SUBSET = "compiled only in bfloat16 and channels_last, at the smallest and the largest batch"
MLP_FLOAT = "Figure 1's network trains in float32"
MLP_SUBSET = "compiled only in float32, at the paper's batch of 60"


@dataclass(frozen=True)
class Sizes:
    """What is measured; the defaults are for a large card, the first scale's smallest batch is the one with targets."""

    scales: tuple[str, ...] = ("tiny64", "paper")
    batches: tuple[int, ...] = (32, 128, 256)
    modes: tuple[str, ...] = ("reduce-overhead", "default")
    mlp_batches: tuple[int, ...] = (32, 60, 128, 256)
    side_by_side: tuple[int, ...] = (1, 2, 4, 8)
    side_by_side_seconds: float = 1.5
    product: int = 8192
    copied: int = 2**31
    loader_batches: int = 128  # two of the chunks in which random numbers are drawn
    effort: Effort = field(default_factory=Effort)


@dataclass
class Network:
    """One network at one scale, used for all its cells."""

    name: str
    scale: str
    config: Config
    model: nn.Module
    cost: Cost

    def cell(self, setting: Setting) -> str:
        """What a cell is called."""
        return f"{self.name}, {self.scale}, {setting}"


def network(name: str, experiment: str, scale: str, on: torch.device) -> Network:
    """Build it and count what it costs."""
    config = configuration(experiment, scale)
    model = build.network(config, [0], on, CLASSES[scale])
    image = torch.zeros(1, 3, config.data.pixels, config.data.pixels, device=on)
    return Network(name, scale, config, model, cost(model, image))


def eager(sizes: Sizes) -> Iterator[Setting]:
    """The settings without compilation; one also with cuDNN's algorithms tried, which takes a while."""
    for batch in sizes.batches:
        for precision, channels_last in itertools.product(PRECISIONS, (False, True)):
            yield Setting(batch, precision, channels_last)
    yield Setting(sizes.batches[0], "bfloat16", tuned=True)


def compiled(sizes: Sizes) -> Iterator[Setting]:
    """The settings that are compiled."""
    for batch in sorted({min(sizes.batches), max(sizes.batches)}):
        for mode in sizes.modes:
            yield Setting(batch, "bfloat16", compile=mode)


def not_compiled(sizes: Sizes) -> Iterator[Setting]:
    """The settings of the full table that are left out because compiling takes long."""
    chosen = set(compiled(sizes))
    grid = itertools.product(sizes.batches, PRECISIONS, (False, True), sizes.modes)
    yield from (setting for setting in itertools.starmap(Setting, grid) if setting not in chosen)


def time_network(cells: Cells, of: Network, setting: Setting) -> None:
    """One cell of the loop's own step."""
    if setting.compile != "none":
        torch.compiler.reset()  # else a second batch size is compiled for any size, which is another program
    data = noise(of.config.data.pixels, CLASSES[of.scale], setting, cells.on)
    kind = "eager" if setting.compile == "none" else "compiled"
    cells.time(kind, of.cell(setting), lambda: steps.ours(of.config, of.model, data, setting, cells.on), setting.batch)


def time_peers(cells: Cells, of: Network, batch: int) -> None:
    """timm's step with the same network, as its script computes by default and with its faster options."""
    for options in TIMMS:
        setting = Setting(batch, options.precision, options.channels_last, tuned=True)
        data = noise(of.config.data.pixels, CLASSES[of.scale], setting, cells.on)
        name = f"{TIMM}, {of.cell(setting)}"
        cells.time("eager", name, lambda s=setting, d=data: steps.timms(of.model, d, s, cells.on), batch)


def time_googlenets(cells: Cells, scale: str, batch: int) -> Network:
    """BN-GoogLeNet against torchvision's, in bfloat16."""
    ours, peer = Setting(batch, "bfloat16"), Setting(batch, "bfloat16", tuned=True)
    of = network("bn_googlenet", "googlenet/bn", scale, cells.on)
    time_network(cells, of, ours)
    time_network(cells, of, peer)
    data = noise(of.config.data.pixels, CLASSES[scale], peer, cells.on)
    name = f"torchvision's googlenet, {scale}, {peer}"
    cells.time("eager", name, lambda: steps.torchvisions(data, CLASSES[scale], peer, cells.on), batch)
    return of


def time_mlps(cells: Cells, sizes: Sizes, modes: tuple[str, ...]) -> None:
    """Figure 1's networks; of those that are compiled only what can matter."""
    for (name, experiment), batch in itertools.product(MLPS.items(), sizes.mlp_batches):
        for precision, mode in itertools.product(PRECISIONS, modes):
            setting = Setting(batch, precision, compile=mode)
            cell = f"{name}, batch {batch}, {precision}, {MODES[mode]}"
            if precision == "bfloat16":
                cells.leave(cell, MLP_FLOAT)
            elif mode != "none" and (precision, batch) != ("float32", 60):
                cells.leave(cell, MLP_SUBSET)
            else:
                torch.compiler.reset()
                config = configuration(experiment, "paper")
                step = lambda c=config, s=setting: steps.mlp(c, s, cells.on)  # noqa: E731
                cells.time("eager" if mode == "none" else "compiled MLP", cell, step, 1, "steps/s")


def loader_seconds(cells: Cells, of: Network, sizes: Sizes) -> dict[int, list[float]]:
    """Seconds that the resident loader takes for a batch, alone, by batch size; its draws on the CPU included."""
    found = {}
    for batch in sizes.batches:

        def work(batch: int = batch) -> list[float]:
            data = steps.resident(of.config, CLASSES[of.scale], batch, cells.on)
            counter = itertools.count()
            read = lambda: data.batch(0, next(counter))  # noqa: E731
            rounds = [timed(read, sizes.loader_batches, cells.on) for _ in range(sizes.effort.rounds + 1)]
            return [took / sizes.loader_batches for took in rounds[1:]]

        found[batch] = cells.measure("loader", f"resident loader, {of.scale}, batch {batch}", work)
    return {batch: times for batch, times in found.items() if times}


def side_by_side(cells: Cells, sizes: Sizes, setting: Setting) -> dict[int, float] | None:
    """Images a second of several processes together, with the loader, at the scale and batch that have targets."""
    kind = "side by side" if setting.compile == "none" else "compiled side by side"
    arguments = (NETWORKS["bn_inception"], sizes.scales[0], setting, cells.on, sizes.side_by_side)
    name = f"bn_inception, {sizes.scales[0]}, {setting}, side by side"
    found = cells.measure(
        kind, name, lambda: copies.together(*arguments, sizes.side_by_side_seconds, sizes.effort.warm)
    )
    if found:
        print(f"{name}: {', '.join(f'{count}: {rate:,.0f}' for count, rate in found.items())} images/s", flush=True)
    return found
