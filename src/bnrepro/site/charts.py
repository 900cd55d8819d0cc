"""Interactive charts as data: Plotly figures whose traces are tagged, and the controls that choose among the tags.

A trace is shown while all its tags are chosen. Colours are names, and the page's style sheet gives each name a colour
by day and one by night. The page's script knows no figure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from bnrepro.analysis.render import style

Tags = dict[str, str]
INKS = {  # a line's colour in results/, and a lighter one for the dark
    "with": (style.WITH, "#79b0ee"),
    "without": (style.WITHOUT, "#e8916b"),
    "x5": (style.X5, "#5fcabc"),
    "x30": (style.X30, "#c08fdb"),
    "sigmoid": (style.SIGMOID, "#e5bd45"),
    "grey": (style.SIGMOID_WITHOUT, "#9c9c9c"),
    "too-fast": (style.TOO_FAST, "#d8d8d8"),
}
BAND = 0.18  # opacity of a filled range


@dataclass(frozen=True)
class Option:
    """One choice of a control.

    ``layout`` is what it changes in every panel, by dotted path. It is offered while, for each key of its ``tags``, one
    of the values is chosen.
    """

    value: str
    label: str
    colour: str = ""
    dash: str = ""
    on: bool = True
    layout: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """Options of which one is chosen; if ``many``, any number."""

    key: str
    label: str
    options: Sequence[Option]
    many: bool = False


@dataclass(frozen=True)
class Panel:
    """One plot; ``notes`` are words beside its title that appear with their tags."""

    title: str
    figure: go.Figure
    notes: Sequence[tuple[Tags, str]] = ()


@dataclass(frozen=True)
class Chart:
    """Panels that share controls; ``columns``: the panels' widths on a wide screen."""

    name: str
    label: str
    controls: Sequence[Control]
    panels: Sequence[Panel]
    columns: str = "1fr"

    def data(self) -> list[dict[str, Any]]:
        """The panels for the page's script."""
        return [json.loads(panel.figure.to_json()) for panel in self.panels]


STEPS = Control(
    "x",
    "Steps",
    (
        Option("linear", "linear", layout={"xaxis.type": "linear"}),
        Option("log", "logarithmic", layout={"xaxis.type": "log"}),
    ),
)


def ink(colour: str) -> str:
    """The style sheet's name of a colour of results/."""
    return next(name for name, (day, _) in INKS.items() if day == colour)


def numbers(values: Any) -> list[float | None]:
    """Plain numbers of at most six digits, which is more than any record has; None where there is none."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in np.asarray(values, float)]


def line(x: Any, y: Any, name: str, tags: Tags, colour: str, **more: Any) -> go.Scatter:
    """A line of one arm or seed; ``hover`` ends the text at the pointer, ``width`` and ``dash`` are of the line."""
    look = {"width": more.pop("width", 2), "dash": more.pop("dash", "solid")}
    hover = more.pop("hover", "%{y:.2%}")
    return go.Scatter(
        x=numbers(x),
        y=numbers(y),
        name=name,
        mode=more.pop("mode", "lines"),
        line=look,
        meta={"tags": tags, "colour": colour},
        hovertemplate=f"<b>%{{fullData.name}}</b><br>step %{{x:,}}: {hover}<extra></extra>",
        **more,
    )


def band(x: Any, low: Any, high: Any, tags: Tags, colour: str) -> go.Scatter:
    """A filled range; nothing to point at."""
    x, low, high = map(numbers, (x, low, high))
    return go.Scatter(
        x=[*x, *x[::-1]],
        y=[*high, *low[::-1]],
        mode="lines",
        line={"width": 0},
        fill="toself",
        hoverinfo="skip",
        meta={"tags": tags, "colour": colour, "fill": BAND},
    )


def mark(x: float, y: float, name: str, tags: Tags, colour: str, symbol: str, hover: str) -> go.Scatter:
    """One point that means something; a symbol that ends in ``-open`` is hollow."""
    return go.Scatter(
        x=[x],
        y=[y],
        name=name,
        mode="markers",
        marker={"symbol": symbol, "size": 10, "line": {"width": 2}},
        meta={"tags": tags, "colour": colour},
        hovertemplate=f"<b>%{{fullData.name}}</b><br>{hover}<extra></extra>",
    )


def figure(traces: Sequence[go.Scatter], x: str, y: str, height: int = 380, **axes: Any) -> go.Figure:
    """A plot with titled axes; its fonts, colours and grid are the page's."""
    drawn = go.Figure(list(traces))
    drawn.update_layout(
        template=None,
        height=height,
        showlegend=False,
        hovermode="closest",
        xaxis={"title": {"text": x}} | axes.get("xaxis", {}),
        yaxis={"title": {"text": y}} | axes.get("yaxis", {}),
    )
    return drawn
