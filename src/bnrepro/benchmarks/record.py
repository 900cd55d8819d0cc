"""Ratios of speeds, and the file that records a measurement."""

import operator
import statistics
from pathlib import Path
from typing import Any

from bnrepro.analysis.render.table import Table
from bnrepro.records.files import write_json
from bnrepro.records.provenance import now, provenance

COMPARISONS = {">=": operator.ge, ">": operator.gt, "<": operator.lt}


def row(comparison: str, numerators: list[float], denominators: list[float], target: str) -> dict[str, Any]:
    """Return a row of the record: the median over rounds of the ratio within each round, and whether it meets a target.

    A target is a comparison such as ">= 12", or "none set".
    """
    ratio = statistics.median(n / d for n, d in zip(numerators, denominators, strict=True))
    sign, bound = target.split()
    met = sign not in COMPARISONS or COMPARISONS[sign](ratio, float(bound))
    return {"what": comparison, "ratio": ratio, "target": target, "met": met}


def write(path: Path, title: str, command: str, rows: list[dict[str, Any]], raw: dict[str, Any]) -> None:
    """Print the rows, and write them with the raw numbers and the machine that they come from."""
    shown = [[row["what"], f"{row['ratio']:.3g}", row["target"], "yes" if row["met"] else "no"] for row in rows]
    Table(["measured", "ratio", "target", "met"], shown).show()
    write_json(path, {"what": title, "command": command, "measured": now(), **provenance(), "rows": rows, "raw": raw})
    print(path)
