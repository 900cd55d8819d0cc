"""Run the programs of the exact claims, and record their numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bnrepro.analysis.reading.statistics import geometric
from bnrepro.analysis.render.table import Table
from bnrepro.identities import convolution, counts, gradients, inference, scaling, statistics, toys, whitening
from bnrepro.identities.common import Numbers
from bnrepro.records.files import make_writable, write_json
from bnrepro.records.provenance import now, provenance

PROGRAMS: dict[str, Callable[[], Numbers]] = {  # by claim
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


def interval(values: list[float]) -> dict[str, Any]:
    """Return the 95 % interval of a ratio of times over its repetitions, and the machine that measured it."""
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


def run(out: Path, command: str) -> None:
    """Run all programs, print their numbers and record them.

    Args:
        out: the record, as JSON. ``numbers`` are by claim and name. ``intervals`` are those of ratios of times.
        command: the command as it was typed.
    """
    make_writable(out.parent)
    numbers: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, Any]] = {}
    for claim, program in PROGRAMS.items():
        values = program()
        numbers[claim] = {
            name: geometric(np.array(value)).mean if isinstance(value, list) else float(value)
            for name, value in values.items()
        }
        if times := {name: interval(value) for name, value in values.items() if isinstance(value, list)}:
            intervals[claim] = times
    header = {"command": command, "measured": now(), **provenance(), "threads": torch.get_num_threads()}
    write_json(out, header | {"numbers": numbers, "intervals": intervals})
    rows = [[claim, name, f"{value:.6g}"] for claim, values in numbers.items() for name, value in values.items()]
    Table(["claim", "number", "value"], rows).show()
    print(out)
