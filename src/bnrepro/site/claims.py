"""The ledger for the page: the files in the repository that belong to a claim, and its measured parts as a chart."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from bnrepro.analysis.claims.ledger import Row
from bnrepro.analysis.claims.plot import Marks
from bnrepro.analysis.claims.rules import UNITS, Claim, Part
from bnrepro.site.charts import Chart, Panel, Trace, layout, line, numbers

RUN = re.compile(r"(.+)-s(\d+)-([0-9a-f]+)")  # variant, seed and hash
COLOURS = {"holds": "with", "fails": "without"}
SHORT_AXIS = 1.3  # decades: a logarithmic axis that is no longer than this has round numbers for its ticks
HEIGHT = 62  # px of a part's plot


def entry(row: Row, root: Path) -> Row:
    """Add to a row the configs and notebooks that belong to it, and its runs by configuration and seed."""
    return row | {"configs": _configs(row, root), "notebooks": _notebooks(row, root), "grouped": _grouped(row)}


def _configs(row: Row, root: Path) -> list[str]:
    """Return the experiments' files, or folders of them, that make the records of a row."""
    paths = []
    for records in row["records"]:
        _, figure, name, *_ = records.split("/")
        path = f"claims/{name}.yaml" if figure == "claims" else figure.partition("_")[0]
        paths.append(f"configs/experiment/{path}")
    return [path for path in dict.fromkeys(paths) if (root / path).exists()]


def _notebooks(row: Row, root: Path) -> list[str]:
    """Return the notebooks that name a claim or read its records."""
    names = [rf"\b{row['id']}\b", *(f"{re.escape(records)}/" for records in row["records"])]
    scripts = sorted((root / "notebooks").glob("*.py"))
    return [f"notebooks/{path.stem}.ipynb" for path in scripts if re.search("|".join(names), path.read_text())]


def _grouped(row: Row) -> dict[str, dict[int, str]]:
    """Return the names of a row's runs by configuration and seed."""
    grouped: dict[str, dict[int, str]] = {}
    for run in sorted(row["runs"]):
        variant, seed, digest = RUN.fullmatch(run).groups()
        grouped.setdefault(f"{variant}-{digest}", {})[int(seed)] = run
    return {name: dict(sorted(seeds.items())) for name, seeds in sorted(grouped.items())}


def chart(row: Row, claim: Claim) -> Chart:
    """Return each measured or exact part on an axis of its own: seeds, interval and the rule's edges."""
    shown = [(part, ours) for part, ours in zip(claim.parts, row["ours"], strict=True) if ours["value"] is not None]
    name = f"{row['id'].lower()}-plot"
    return Chart(name, f"{row['id']}: seeds, intervals and the rule's edge", [_panel(*each) for each in shown])


def _panel(part: Part, ours: Row) -> Panel:
    unit, exact = UNITS[part.unit][1], ours["family"] == "exact"
    interval = [edge for edge in ours.get("interval", []) if edge is not None]
    marks = Marks(part, ours.get("values", [ours["value"]]), interval, exact)
    colour = COLOURS.get(ours["verdict"], "grey")
    traces: list[Trace] = []
    if interval:
        low, high = marks.interval
        text = f"interval {low:.3g} to {high:.3g}{unit}"
        traces.append(line(marks.interval, [0, 0], "", {}, colour, text, width=5, opacity=0.55))
    names = ["exact"] if exact else [f"seed {seed}" for seed in ours.get("seeds", [])] or "repetition"
    look = {"mode": "markers", "marker": {"size": 9, "line": {"width": 1}}, "text": names}
    height = [0] * len(marks.values)
    traces.append(line(marks.values, height, "", {}, colour, "%{text}: %{x:.4g}" + unit, **look))
    xaxis = _axis(np.concatenate([marks.values, marks.interval, marks.edges]), marks.logarithmic)
    ends = [10**end for end in xaxis["range"]] if marks.logarithmic else xaxis["range"]
    left, right = marks.obeyed(*ends)
    obeyed = {"type": "rect", "x0": left, "x1": right, "fillcolor": "rgba(80,130,200,0.12)", "line": {"width": 0}}
    dashed = {"type": "line", "line": {"width": 1.2, "dash": "dash", "color": "rgba(128,128,128,0.9)"}}
    shapes = [obeyed | {"layer": "below"}, *(dashed | {"x0": edge, "x1": edge} for edge in marks.edges.tolist())]
    shapes = [shape | {"y0": 0, "y1": 1, "yref": "y domain"} for shape in shapes]
    yaxis = {"visible": False, "range": [-1, 1], "fixedrange": True}
    title = ": ".join(filter(None, (ours["reading"], ours["what"])))
    return Panel(title, traces, layout(HEIGHT, xaxis, yaxis, shapes=shapes))


def _axis(values: np.ndarray, logarithmic: bool) -> dict[str, Any]:
    """Return an axis that holds the values, with room around them."""
    placed = np.log10(values) if logarithmic else values
    room = 0.08 * (placed.max() - placed.min()) or 1.0
    low, high = float(placed.min() - room), float(placed.max() + room)
    if not logarithmic:
        return {"range": [low, high], "nticks": 6}
    axis = {"type": "log", "range": [low, high], "nticks": 6, "exponentformat": "power"}
    if high - low < SHORT_AXIS:
        axis["tickvals"] = numbers(MaxNLocator(5).tick_values(10**low, 10**high))
    return axis
