"""The plot of a claim: its words as the title, and a row for each part with its seeds, its interval and its rule.

Parts of one unit and of comparable size share an axis. The rule allows the blue range of a row.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bnrepro.analysis.claims.judge import Judged
from bnrepro.analysis.claims.ledger import Row
from bnrepro.analysis.claims.rules import UNITS
from bnrepro.analysis.claims.table import MARKS, value_text
from bnrepro.analysis.render import style

COLOURS = {"holds": style.WITH, "fails": style.WITHOUT}
AXIS = {"points": "points of accuracy", "times": "ratio"}  # what an axis says instead of the name of its unit
SMALLEST = 1e-17  # stands for 0 on a logarithmic axis
COMPARABLE = 6  # parts share an axis if the larger is at most so many times the smaller
MARGIN = 0.04  # of the width of an axis
ROW, AXES, LINE = 0.34, 0.5, 0.22  # heights in inches: of a row, of an axis below its rows, and of a line of the title


def _is_logarithmic(judged: Judged) -> bool:
    exact = judged.estimate is None
    return judged.part.ratio or (exact and judged.part.rule.bound in ("at_most", "at_least"))


def _shown(judged: Judged, values: Sequence[float]) -> np.ndarray:
    """Return values in the unit that is shown."""
    times = UNITS[judged.part.unit][0]
    return np.maximum(times * np.array(values, float), SMALLEST if _is_logarithmic(judged) else -np.inf)


def _points(judged: Judged) -> np.ndarray:
    return _shown(judged, judged.values if judged.estimate else [judged.number])


def _interval(judged: Judged) -> np.ndarray:
    """Return both ends of the interval, or nothing if there is none."""
    ends = [judged.estimate.low, judged.estimate.high] if judged.estimate else []
    return _shown(judged, ends if np.isfinite(ends).all() else [])


def _reference(judged: Judged) -> list[float]:
    """Return where there is no difference: 1 for ratios and 0 for differences."""
    return {"ratio": [1.0], "difference": [0.0]}.get(judged.part.kind, [])


def _everything(judged: Judged) -> np.ndarray:
    edges = _shown(judged, judged.part.rule.edges)
    return np.concatenate([_points(judged), _interval(judged), edges, _reference(judged)])


def _size(judged: Judged) -> float:
    values = _everything(judged)
    return max(0.5, np.ptp(np.log10(values))) if _is_logarithmic(judged) else np.ptp(values)


def _panels(parts: list[Judged]) -> list[list[Judged]]:
    """Return the parts that share an axis, in their order."""
    panels: list[list[Judged]] = []
    for judged in parts:
        for panel in panels:
            first = panel[0]
            same = (first.part.unit, _is_logarithmic(first)) == (judged.part.unit, _is_logarithmic(judged))
            sizes = [_size(other) for other in [*panel, judged]]
            if same and max(sizes) <= COMPARABLE * min(sizes):
                panel.append(judged)
                break
        else:
            panels.append([judged])
    return panels


def _limits(panel: list[Judged]) -> tuple[float, float]:
    values = np.concatenate([_everything(judged) for judged in panel])
    if not _is_logarithmic(panel[0]):
        margin = MARGIN * (np.ptp(values) or 1)
        return values.min() - margin, values.max() + margin
    margin = MARGIN * (np.ptp(np.log10(values)) or 1)
    return values.min() / 10**margin, values.max() * 10**margin


def _draw_row(axes: Axes, judged: Judged, height: int, limits: tuple[float, float]) -> None:
    colour = COLOURS.get(judged.verdict, style.POOLED)
    allowed = _shown(judged, judged.part.rule.allowed)
    low, high = np.clip(allowed, *limits)
    # an exact value has no width, so that only the outline of its range shows
    axes.add_patch(Rectangle((low, height - 0.4), high - low, 0.8, fc=style.WITH, alpha=0.1, lw=0 if high > low else 1))
    edges = _shown(judged, judged.part.rule.edges)
    axes.vlines(edges, height - 0.4, height + 0.4, color="black", lw=1, ls="--")
    interval = _interval(judged)
    axes.plot(interval, [height] * len(interval), color=colour, lw=4, solid_capstyle="butt", alpha=0.6)
    points = _points(judged)
    axes.plot(points, [height] * len(points), "o", ms=4.5, color=colour, mec="white", mew=0.5)


def _label(judged: Judged) -> str:
    name = ": ".join(filter(None, (judged.part.reading, judged.part.what))) + (" (check)" if judged.part.check else "")
    return textwrap.fill(f"{MARKS[judged.verdict]} {name}", 62)


def _draw_panel(axes: Axes, panel: list[Judged], texts: dict[int, str]) -> None:
    limits = _limits(panel)
    heights = range(0, -len(panel), -1)
    if logarithmic := _is_logarithmic(panel[0]):
        axes.set_xscale("log")
    for judged, height in zip(panel, heights, strict=True):
        _draw_row(axes, judged, height, limits)
        axes.text(1.01, height, texts[id(judged)], transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        for reference in _reference(judged):
            axes.axvline(reference, color="black", lw=0.6, zorder=0)
    axes.set(xlim=limits, ylim=(heights[-1] - 0.5, 0.5))
    axes.set_yticks(heights, [_label(judged) for judged in panel], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    short = not logarithmic or limits[1] <= 20 * limits[0]
    axes.xaxis.set_major_locator(MaxNLocator(6) if short else LogLocator(numticks=6))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.spines["left"].set_visible(False)
    unit = panel[0].part.unit
    axes.set_xlabel(AXIS.get(unit, UNITS[unit][1].strip()), fontsize=8)


def draw(row: Row, parts: list[Judged]) -> Figure:
    """Draw the measured and the exact parts of a claim.

    Args:
        row: the claim in the ledger.
        parts: its judged parts, in the order of the row's ``ours``.
    """
    texts = {id(judged): value_text(ours) for judged, ours in zip(parts, row["ours"], strict=True)}
    panels = _panels([judged for judged in parts if judged.value is not None])
    title = textwrap.wrap(f"{row['id']} {row['verdict']}: {row['claim']}", 105)
    heights = [AXES + ROW * len(panel) for panel in panels]
    figure = Figure(figsize=(10, LINE * len(title) + sum(heights)), layout="constrained")
    figure.suptitle("\n".join(title), x=0.01, ha="left", fontsize=10, fontweight="bold")
    all_axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw_panel(axes, panel, texts)
    return figure
