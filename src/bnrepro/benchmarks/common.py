"""Timing side by side, and the record of it."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bnrepro.records.files import write_json
from bnrepro.records.provenance import now, provenance


def seconds(work: Callable[[], None]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alternate(work: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every measurement once a round, in turn, so that a slow spell of the machine falls on all alike."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, measure in work.items():
            found[name].append(measure())
    return found


def matmul_flops(size: int = 1024, repeats: int = 5) -> float:
    """Floating-point operations a second of a large float32 matrix product in this process, with its threads."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    a @ b
    return 2 * size**3 / min(seconds(lambda: a @ b) for _ in range(repeats))


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(n / d for n, d in zip(numerators, denominators, strict=True))


def write(path: Path, what: str, command: str, rows: list[dict[str, Any]], raw: dict[str, Any]) -> None:
    """Print the rows and write them with where they come from; each row: what, ratio, target, met."""
    table = Table("measured", "ratio", "target", "met", box=None, header_style="bold")
    for row in rows:
        table.add_row(row["what"], f"{row['ratio']:.3g}", row["target"], "yes" if row["met"] else "no")
    Console(width=140).print(table)
    write_json(path, {"what": what, "command": command, "measured": now(), **provenance(), "rows": rows, "raw": raw})
    print(path)
