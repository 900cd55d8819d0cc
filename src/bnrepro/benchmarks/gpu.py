"""How fast one GPU trains, setting by setting, against what the card allows and against named peers."""

import itertools
import time
from pathlib import Path
from typing import Any

import torch

from bnrepro.benchmarks import costs, curves, gpu_cells
from bnrepro.benchmarks.cells import Ceilings, Cells, ceilings
from bnrepro.benchmarks.common import write
from bnrepro.benchmarks.gpu_rows import rows_of, rows_of_curve
from bnrepro.benchmarks.steps import Setting
from bnrepro.errors import UserError
from bnrepro.models import registered  # noqa: F401 - makes timm and torchvision importable


def measure(
    on: torch.device, sizes: gpu_cells.Sizes, budget: float = float("inf")
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Everything that fits into ``budget`` seconds, what matters most first: rows and raw numbers of the record."""
    cells = Cells(on, sizes.effort, time.monotonic() + budget)
    limits = ceilings(on, sizes.product, sizes.copied, sizes.effort)
    print(f"bfloat16 product: {limits.flops / 1e12:,.1f} Tflop/s; copy: {limits.bytes / 1e9:,.1f} GB/s", flush=True)
    networks = [gpu_cells.network(*named, scale, on) for scale in sizes.scales for named in gpu_cells.NETWORKS.items()]
    small = [of for of in networks if of.scale == sizes.scales[0]]
    large = [of for of in networks if of.scale != sizes.scales[0]]
    first, chosen, ends = networks[0], list(gpu_cells.compiled(sizes)), sorted({min(sizes.batches), max(sizes.batches)})
    plain, together = Setting(sizes.batches[0], "bfloat16"), {}

    for of, setting in itertools.product(small, gpu_cells.eager(sizes)):
        gpu_cells.time_network(cells, of, setting)
    for of in large:  # what the costs follow from
        gpu_cells.time_network(cells, of, plain)
    loader = gpu_cells.loader_seconds(cells, first, sizes)
    for batch in ends:
        gpu_cells.time_peers(cells, first, batch)
    for setting in chosen[:1]:
        gpu_cells.time_network(cells, first, setting)
    curve = cells.measure("compiled", curves.WHAT, lambda: curves.compared(on, "bfloat16", sizes.modes[0]))
    together[plain] = gpu_cells.side_by_side(cells, sizes, plain)
    gpu_cells.time_mlps(cells, sizes, ("none",))
    for of, setting in itertools.product(large, gpu_cells.eager(sizes)):
        if setting != plain:
            gpu_cells.time_network(cells, of, setting)
    for of, batch in itertools.product(large[:1], ends):
        gpu_cells.time_peers(cells, of, batch)
    networks.append(gpu_cells.time_googlenets(cells, sizes.scales[-1], sizes.batches[0]))
    for setting in chosen[:1]:
        together[setting] = gpu_cells.side_by_side(cells, sizes, setting)
    for of, setting in itertools.product(networks[:1], chosen[1:]):
        gpu_cells.time_network(cells, of, setting)
    gpu_cells.time_mlps(cells, sizes, sizes.modes)
    for of, setting in itertools.product([*small[1:], *large], chosen):
        gpu_cells.time_network(cells, of, setting)
    for of, setting in itertools.product([*small, *large], gpu_cells.not_compiled(sizes)):
        cells.leave(of.cell(setting), gpu_cells.SUBSET)

    together = {str(setting): found for setting, found in together.items() if found}
    rows = rows_of(cells, first, sizes.scales[-1], sizes.batches[0], loader, together)
    rows += rows_of_curve(curve)
    return rows, _raw(cells, limits, networks, loader, together) | {"curves": curve}


def _raw(
    cells: Cells,
    limits: Ceilings,
    networks: list[gpu_cells.Network],
    loader: dict[int, list[float]],
    together: dict[str, dict[int, float]],
) -> dict[str, Any]:
    """All that was measured, by name."""
    rates: dict[str, list[float]] = {}
    shares: dict[str, float] = {}
    counted = {f"{of.name}, {of.scale}": of.cost for of in networks}
    for name, found in cells.rates.items():
        network, rest = name.removeprefix(f"{gpu_cells.TIMM}, ").split(", batch ")
        batch, precision, *_ = rest.split(", ")
        rates[name] = found if network in gpu_cells.MLPS else [round(int(batch) * rate, 1) for rate in found]
        if network in counted:
            shares[name] = round(limits.share(counted[network], int(batch), precision, cells.rate(name)), 4)
    return {
        "device": torch.cuda.get_device_name() if cells.on.type == "cuda" else "CPU",
        "ceilings": {"bfloat16 product, flop/s": limits.flops, "copy, bytes/s": limits.bytes},
        "multiply-adds of an image": {name: found.multiply_adds for name, found in counted.items()},
        "weights": {name: found.weights for name, found in counted.items()},
        "images/s (steps/s of an MLP)": rates,
        "share of the roofline": shares,
        "seconds to the end of the first step": cells.first,
        "resident loader, seconds a batch": loader,
        "side by side, images/s in total": together,
        "not measured": cells.missing,
    }


def main(out: Path, command: str, quick: float | None = None, record: Path | None = None) -> None:
    """Measure, write one file, and print what runs would cost at what was measured.

    Args:
        out: where the record goes.
        command: what the record says that it comes from.
        quick: seconds within which to be done, or None to measure everything.
        record: what an earlier call wrote; nothing is measured, and the costs follow from it.

    Raises:
        UserError: there is no GPU, or no such record.
    """
    if record:
        costs.show(*costs.of_record(record))
        return
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu needs an NVIDIA GPU, and PyTorch finds none here")
    torch.set_num_threads(1)
    rows, raw = measure(torch.device("cuda"), gpu_cells.Sizes(), float("inf") if quick is None else quick)
    write(out, "Training speed on one GPU", command, rows, raw)
    costs.show(*costs.of_record(out))
