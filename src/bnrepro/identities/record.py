"""Which program measures which claim; running the programs, and the record of their numbers."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bnrepro.analysis.reading.statistics import geometric
from bnrepro.errors import UserError, suggest
from bnrepro.identities import convolution, counts, gradients, inference, scaling, statistics, toys, whitening
from bnrepro.identities.common import Numbers
from bnrepro.records.files import write_json
from bnrepro.records.provenance import now, provenance

PROGRAMS: dict[str, Callable[[], Numbers]] = {
    "C03": gradients.upper_network,
    "C06": toys.bias_growth,
    "C07": toys.scale_growth,
    "C08": whitening.cost,
    "C09": statistics.lost_scale,
    "C11": statistics.restored_identity,
    "C12": statistics.moments,
    "C14": inference.batch_mates,
    "C16": inference.fixed_statistics,
    "C17": gradients.bias,
    "C20": convolution.maps,
    "C22": scaling.outputs,
    "C23": scaling.jacobians,
    "C24": scaling.weight_gradients,
    "C30": counts.extra_parameters,
    "C44": counts.appendix,
    "S4": statistics.equal_moments,
    "S6": statistics.small_activations,
    "S7": statistics.restored_identity,
    "S9": convolution.maps_and_place,
    "S10": whitening.whitening,
}
ORIGIN = ("measured", "commit", "commit_dirty")


def plain(value: float) -> float | str:
    """The number, or "nan", "inf", "-inf": JSON has none of them."""
    return float(value) if math.isfinite(value) else str(float(value))


def interval(values: list[float]) -> dict[str, Any]:
    """A ratio of times: its repetitions, their 95 % interval, and the machine that it holds for."""
    estimate, machine = geometric(np.array(values)), provenance()
    return {
        "n": estimate.n,
        "low": estimate.low,
        "high": estimate.high,
        "sd_of_logs": estimate.sd,
        "values": values,
        "processor": machine["processor"],
        "cores": machine["cores"],
        "threads": torch.get_num_threads(),
    }


def _existing(path: Path) -> dict[str, Any]:
    """The record at ``path``; one without numbers where there is none."""
    if not path.exists():
        return {"numbers": {}}
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); give another --out, or run without --only") from None
    if not isinstance(record, dict) or not isinstance(record.get("numbers"), dict):
        raise UserError(f"{path} is not a record of identities; give another --out, or run without --only")
    return record


def run(out: Path, command: str, only: Sequence[str] = ()) -> None:
    """Run all programs, print their numbers, and write them with where they come from.

    Args:
        out: JSON: command, measured, provenance, threads; numbers by claim and name; intervals: of numbers that were
            timed, whose number is the geometric mean, see `interval`; earlier: of claims whose numbers this run has
            kept, when and at which commit they were measured.
        command: as it was typed.
        only: the claims to measure; all other numbers in ``out`` stay.
    """
    if unknown := [claim for claim in only if claim not in PROGRAMS]:
        raise UserError(f"no program for {unknown[0]}; {suggest(unknown[0], PROGRAMS)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    old = _existing(out) if only else {"numbers": {}}
    table = Table("claim", "number", "value", box=None, header_style="bold")
    measured, timed = {}, {}
    for claim in only or PROGRAMS:
        values = PROGRAMS[claim]()
        timed[claim] = {name: interval(value) for name, value in values.items() if isinstance(value, list)}
        measured[claim] = {
            name: plain(geometric(np.array(value)).mean if isinstance(value, list) else value)
            for name, value in values.items()
        }
        for name, value in measured[claim].items():
            table.add_row(claim, name, value if isinstance(value, str) else f"{value:.6g}")
    origin = {name: old.get(name) for name in ORIGIN}
    earlier = {claim: old.get("earlier", {}).get(claim, origin) for claim in old["numbers"] if claim not in measured}
    intervals = {claim: of for claim, of in (old.get("intervals", {}) | timed).items() if of}
    numbers = {"numbers": old["numbers"] | measured, "intervals": intervals, "earlier": earlier}
    header = {"command": command, "measured": now(), **provenance(), "threads": torch.get_num_threads()}
    write_json(out, header | numbers)
    Console(width=140).print(table)
    print(out)
