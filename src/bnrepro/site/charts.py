"""Interactive charts as data for the page's script: Plotly traces with tags, and controls that choose among the tags.

The script draws a trace while all its tags are chosen. A trace names its colour; the page's style sheet gives each name
one colour for daylight and one for the dark. The script itself knows no figure.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bnrepro.analysis.render import style

Tags = dict[str, str]
Trace = dict[str, Any]  # what Plotly calls a trace: one line, band or set of points
INKS = {  # by name: the colour in results/, and a lighter one for the dark
    "with": (style.WITH, "#79b0ee"),
    "without": (style.WITHOUT, "#e8916b"),
    "x5": (style.X5, "#6fd0e0"),
    "x30": (style.X30, "#c08fdb"),
    "sigmoid": (style.SIGMOID, "#e5bd45"),
    "grey": (style.SIGMOID_WITHOUT, "#9c9c9c"),
    "too-fast": (style.TOO_FAST, "#d8d8d8"),
}
BAND = 0.18  # the opacity of a filled range


class Option(NamedTuple):
    """One choice of a control.

    ``layout`` is what the choice changes in every panel, by dotted path. An option with ``tags`` is offered only while,
    for each key, one of the values is chosen.
    """

    value: str
    label: str
    colour: str = ""
    dash: str = ""
    shown: bool = True
    layout: dict[str, Any] | None = None
    tags: dict[str, list[str]] | None = None


class Control(NamedTuple):
    """Options of which the reader chooses one or, if ``many``, any number."""

    key: str
    label: str
    options: Sequence[Option]
    many: bool = False


class Panel(NamedTuple):
    """One plot: Plotly's traces and layout."""

    title: str
    data: list[Trace]
    layout: dict[str, Any]


class Chart(NamedTuple):
    """Panels that share controls; ``columns`` are the widths of the panels on a wide screen."""

    name: str
    label: str
    panels: list[Panel]
    controls: Sequence[Control] = ()
    columns: str = "1fr"


STEPS = Control(
    "x",
    "Steps",
    [
        Option("linear", "linear", layout={"xaxis.type": "linear"}),
        Option("log", "logarithmic", layout={"xaxis.type": "log"}),
    ],
)


def ink(colour: str) -> str:
    """Return the style sheet's name of a colour of results/."""
    return next(name for name, (day, _) in INKS.items() if day == colour)


def numbers(values: Any) -> list[float | None]:
    """Round to six digits, which is more than any record has; a value that is not finite becomes None."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in np.asarray(values, float)]


def line(x: Any, y: Any, name: str, tags: Tags, colour: str, hover: str | None = None, **more: Any) -> Trace:
    """A line against steps; ``width`` and ``dash`` are its look, the rest of ``more`` are Plotly's names.

    At the pointer stand the name and ``hover``: by default the step with its ``text``, or with the value in percent if
    there is none. With an empty ``hover`` there is nothing to point at.
    """
    if hover is None:
        hover = "step %{x:,}: " + ("%{text}" if "text" in more else "%{y:.2%}")
    trace = {
        "x": numbers(x),
        "y": numbers(y),
        "name": name,
        "mode": "lines",
        "line": {"width": more.pop("width", 2), "dash": more.pop("dash", "solid")},
        "meta": {"tags": tags, "colour": colour},
    }
    text = f"<b>{name}</b><br>{hover}" if name else hover
    pointer = {"hovertemplate": f"{text}<extra></extra>"} if hover else {"hoverinfo": "skip"}
    return trace | pointer | more


def band(x: Any, low: Any, high: Any, tags: Tags, colour: str) -> Trace:
    """A filled range without a text at the pointer."""
    trace = line([*x, *x[::-1]], [*high, *low[::-1]], "", tags, colour, hover="", width=0, fill="toself")
    trace["meta"]["fill"] = BAND
    return trace


def mark(x: float, y: float, name: str, tags: Tags, colour: str, symbol: str, hover: str) -> Trace:
    """One point with a meaning; a symbol that ends in ``-open`` is hollow."""
    marker = {"symbol": symbol, "size": 10, "line": {"width": 2}}
    return line([x], [y], name, tags, colour, hover, mode="markers", marker=marker)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title; ``more`` are Plotly's names."""
    return {"title": {"text": title}} | more


def layout(height: int, xaxis: dict[str, Any], yaxis: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The layout of a plot; the page sets fonts, colours and grid."""
    return {"height": height, "showlegend": False, "hovermode": "closest", "xaxis": xaxis, "yaxis": yaxis} | more
