"""The ledger for the page: each row of claims.json with its links, and its measured parts as a chart."""

import re
import textwrap
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.ticker import MaxNLocator
from plotly.subplots import make_subplots

from bnrepro.analysis.claims import table as ledger
from bnrepro.analysis.claims.ledger import Row
from bnrepro.analysis.claims.plot import Marks
from bnrepro.analysis.claims.rules import UNITS, Claim, Part
from bnrepro.site.charts import numbers
from bnrepro.site.links import Links

RUN = re.compile(r"(?P<variant>.+)-s(?P<seed>\d+)-(?P<hash>[0-9a-f]+)")
COLOURS = {"holds": "with", "fails": "without"}
NARROW = 1.3  # decades: a logarithmic axis no longer than that has round numbers for its ticks
BAR, GAP, EDGES = 30, 58, 66  # px: one part, between two (ticks and a name of two lines), around all
WIDE = 56  # characters of a part's name in a line


def _configs(root: Path, row: Row) -> list[str]:
    """The experiments' files, or folders of them, that make the records of a row."""
    paths = []
    for records in row["records"]:
        _, figure, name, *_ = records.split("/")
        path = f"claims/{name}.yaml" if figure == "claims" else figure.partition("_")[0]
        paths.append(f"configs/experiment/{path}")
    return [path for path in dict.fromkeys(paths) if (root / path).exists()]


def _notebooks(root: Path, row: Row) -> list[str]:
    """The notebooks that name a claim, or read its records."""
    words = re.compile("|".join([rf"\b{row['id']}\b", *(f"{re.escape(records)}/" for records in row["records"])]))
    scripts = sorted((root / "notebooks").glob("*.py"))
    return [f"notebooks/{path.stem}.ipynb" for path in scripts if words.search(path.read_text())]


def _runs(row: Row, homes: dict[str, str], links: Links) -> list[dict[str, Any]]:
    """The runs of a row by configuration: its name, and a link for each seed."""

    def configuration(name: str) -> str:
        return re.sub(RUN, r"\g<variant>-\g<hash>", name)

    groups = []
    for name, runs in groupby(sorted(row["runs"], key=configuration), key=configuration):
        seeds = {int(RUN.fullmatch(run)["seed"]): links(f"{homes[run]}/{run}") for run in runs}
        groups.append({"name": name, "seeds": dict(sorted(seeds.items()))})
    return groups


def entry(row: Row, root: Path, homes: dict[str, str], links: Links) -> dict[str, Any]:
    """A row of the ledger for the template: what is told comes from the functions that write claims.md."""
    stem = f"{ledger.PLOTS}/{row['id']}.png"
    return row | {
        "anchor": row["id"].lower(),
        "mark": ledger.MARKS[row["verdict"]],
        "measured": ledger.ours(row),
        "parts": ledger.parts(row) if row["ours"] else None,
        "readings": {name: verdict for name, verdict in row["readings"].items() if name},
        "chart": ledger.plotted(row),
        "plot": links(f"results/{stem}") if ledger.plotted(row) else "",
        "rule_link": links(row["rule"]),
        "page_link": f"{links('results/claims.md')}#{row['id'].lower()}",
        "configs": {path.removeprefix("configs/experiment/"): links(path) for path in _configs(root, row)},
        "notebooks": {Path(path).stem: links(path) for path in _notebooks(root, row)},
        "folders": {
            path.removeprefix("results/"): links(f"{path}/runs") for path in row["records"] if (root / path).is_dir()
        },
        "grouped": _runs(row, homes, links),
    }


def homes(root: Path) -> dict[str, str]:
    """By name of a committed run, the folder that it is in."""
    return {path.name: path.parent.relative_to(root).as_posix() for path in (root / "results").glob("*/**/runs/*/")}


def _axis(values: np.ndarray, log: bool) -> dict[str, Any]:
    """An axis that holds some values, with room around them."""
    shown = np.log10(values) if log else values
    room = 0.08 * (shown.max() - shown.min()) or 1.0
    low, high = float(shown.min() - room), float(shown.max() + room)
    if log and high - low < NARROW:
        return {"type": "log", "range": [low, high], "tickvals": numbers(MaxNLocator(5).tick_values(10**low, 10**high))}
    return {"type": "log", "range": [low, high], "nticks": 6} if log else {"range": [low, high], "nticks": 6}


def chart(row: Row, claim: Claim) -> go.Figure:
    """Each measured or exact part on an axis of its own: seeds, interval, the rule's edge and where it is obeyed."""
    shown = [(part, ours) for part, ours in zip(claim.parts, row["ours"], strict=True) if ours["value"] is not None]
    names = [": ".join(filter(None, (ours["reading"], ours["what"]))) for _, ours in shown]
    names = ["<br>".join(textwrap.wrap(name, WIDE)) for name in names]
    height = len(shown) * BAR + (len(shown) - 1) * GAP
    drawn = make_subplots(len(shown), 1, subplot_titles=names, vertical_spacing=min(GAP / height, 1))
    for k, (part, ours) in enumerate(shown, 1):
        _draw(drawn, part, ours, {"row": k, "col": 1})
    drawn.update_yaxes(visible=False, range=[-1, 1], fixedrange=True)
    drawn.update_annotations(font_size=12, x=0, xanchor="left", align="left")
    drawn.update_layout(template=None, height=height + EDGES, showlegend=False, hovermode="closest")
    return drawn


def _draw(drawn: go.Figure, part: Part, ours: Row, panel: dict[str, int]) -> None:
    unit, exact = UNITS[part.unit][1], ours["family"] == "exact"
    interval = [edge for edge in ours.get("interval", []) if edge is not None]
    marks = Marks(part, ours.get("values", [ours["value"]]), interval, exact)
    axis = _axis(np.concatenate([marks.values, marks.interval, marks.edges]), marks.logarithmic)
    reach = [10**edge for edge in axis["range"]] if marks.logarithmic else axis["range"]
    look = {"meta": {"tags": {}, "colour": COLOURS.get(ours["verdict"], "grey")}}
    if len(marks.interval):
        low, high = marks.interval
        hover = f"interval {low:.3g} to {high:.3g}{unit}<extra></extra>"
        thick = {"mode": "lines", "line": {"width": 5}, "opacity": 0.55}
        drawn.add_scatter(x=numbers(marks.interval), y=[0, 0], hovertemplate=hover, **thick, **panel, **look)
    drawn.add_scatter(
        x=numbers(marks.values),
        y=[0] * len(marks.values),
        text=["exact"] if exact else [f"seed {seed}" for seed in ours.get("seeds", [])] or "repetition",
        mode="markers",
        marker={"size": 9, "line": {"width": 1}},
        hovertemplate=f"%{{text}}: %{{x:.4g}}{unit}<extra></extra>",
        **panel,
        **look,
    )
    drawn.add_vrect(*marks.obeyed(*reach), layer="below", line_width=0, fillcolor="rgba(80,130,200,0.12)", **panel)
    for edge in marks.edges:
        drawn.add_vline(edge, line={"width": 1.2, "dash": "dash", "color": "rgba(128,128,128,0.9)"}, **panel)
    drawn.update_xaxes(axis | ({"exponentformat": "power"} if marks.logarithmic else {}), **panel)
