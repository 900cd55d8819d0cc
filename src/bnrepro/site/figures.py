"""Figures 1 and 2 as interactive charts, from the same functions that draw and tabulate them in results/."""

import numpy as np
import pandas as pd

from bnrepro.analysis.figures import figure1, figure2, figure2_plot
from bnrepro.analysis.figures.figure1_table import VIEWS
from bnrepro.analysis.reading.drift import typical_unit
from bnrepro.analysis.reading.load import Arms
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.text import percent
from bnrepro.site.charts import STEPS, Chart, Control, Option, Panel, Tags, Trace, axis, band, ink, layout, line, mark

DASHES = {"-": "solid", "--": "dash", ":": "dot"}  # Plotly's names of matplotlib's line styles
TRAINING = axis("training steps")
SIDES = {"without": "without BN", "with": "with BN"}


def _lines(arms: Arms) -> Control:
    """The choice among the mean over seeds and the single seeds."""
    seeds = sorted({record.seed for records in arms.values() for record in records})
    options = [Option("mean", "mean and range"), *(Option(str(seed), f"seed {seed}", shown=False) for seed in seeds)]
    return Control("line", "Lines", options, many=True)


def _curves(curves: pd.DataFrame, name: str, tags: Tags, colour: str, dash: str = "solid") -> list[Trace]:
    """The mean, the range and each seed of one network's curves (T, seeds)."""
    means = [f"{percent(Estimate.of(row.dropna()))} %, n = {row.count()}" for _, row in curves.iterrows()]
    x, of_mean = curves.index, tags | {"line": "mean"}
    traces = [
        band(x, curves.min(axis=1), curves.max(axis=1), of_mean, colour),
        line(x, curves.mean(axis=1), name, of_mean, colour, dash=dash, text=means),
    ]
    for seed, curve in curves.items():
        curve = curve.dropna()
        of_seed = tags | {"line": str(seed)}
        traces.append(line(curve.index, curve, f"{name}, seed {seed}", of_seed, colour, dash=dash, width=1.2))
    return traces


def _percentiles(steps: np.ndarray, values: np.ndarray, name: str, tags: Tags, colour: str) -> list[Trace]:
    """The 15th, 50th and 85th percentile (T, 3), with the range between the outer two filled."""
    low, median, high = values.astype(float).T
    texts = [f"{m:.2f} (15th {a:.2f}, 85th {b:.2f})" for a, m, b in zip(low, median, high, strict=True)]
    return [
        band(steps, low, high, tags, colour),
        line(steps, low, "", tags, colour, hover="", width=1),
        line(steps, high, "", tags, colour, hover="", width=1),
        line(steps, median, f"{name}, median", tags, colour, text=texts),
    ]


def accuracy(arms: Arms) -> Chart:
    """Figure 1(a) in each of its readings."""
    readings = {name: pair for name, pair in figure1.READINGS.items() if set(pair) <= arms.keys()}
    traces = []
    for reading, pair in readings.items():
        for (side, label), variant in zip(SIDES.items(), pair, strict=True):
            traces += _curves(figure1.accuracies(arms[variant]), label, {"reading": reading, "arm": side}, side)
    ranges = [
        Option("as printed", "70 to 100 %", layout={"yaxis.range": [0.7, 1.0]}),
        Option("closer", "95 to 98 %", layout={"yaxis.range": [0.95, 0.98]}),
        Option("all", "all", layout={"yaxis.autorange": True}),
    ]
    controls = [
        Control("reading", "Rates", [Option(name, name) for name in readings]),
        Control("arm", "Networks", [Option(side, label, side) for side, label in SIDES.items()], many=True),
        _lines(arms),
        STEPS,
        Control("y", "Accuracy", ranges),
    ]
    axes = layout(420, TRAINING, axis("test accuracy", tickformat=".1~%"))
    return Chart("figure1a", "Figure 1(a): test accuracy", [Panel("(a) test accuracy", traces, axes)], controls)


def inputs(arms: Arms) -> Chart:
    """Figure 1(b, c): the typical sigmoid of each seed, in each view of the network with BN."""
    panels = []
    axes = layout(340, TRAINING, axis("input of the sigmoid"))
    for letter, side, variant, views in (("b", "without", "plain", ["percentiles"]), ("c", "with", "bn", VIEWS)):
        traces = []
        for record in arms[variant]:
            probes, tags = record.probes, {"seed": str(record.seed)}
            row = typical_unit(probes)
            name = f"{SIDES[side]}, unit {probes['units'][row]} of layer {probes['layers'].max()}"
            for view in views:
                own = tags if side == "without" else tags | {"view": view}
                traces += _percentiles(probes["steps"], probes[view][:, row], name, own, side)
        panels.append(Panel(f"({letter}) {SIDES[side]}", traces, axes))
    seeds = Control("seed", "Seed", [Option(str(record.seed), str(record.seed)) for record in arms["plain"]])
    views = Control("view", "View of the network with BN", [Option(view, label) for view, label in VIEWS.items()])
    label = "Figure 1(b, c): the input of a typical sigmoid"
    return Chart("figure1bc", label, panels, [seeds, views, STEPS], "1fr 1fr")


def _network(arms: Arms, variant: str, reading: str, goal: float) -> list[Trace]:
    """One network of Figure 2: a ring where its median seed reaches the goal, a cross where a seed diverges."""
    name, records = figure2.plain_name(variant), arms[variant]
    title, colour, curves = figure2.title(variant), ink(figure2_plot.COLOURS[name]), figure2.until_divergence(records)
    tags = {"reading": reading, "arm": name}
    traces = _curves(curves, title, tags, colour, DASHES[figure2_plot.line_style(variant)])
    if np.isfinite(step := np.median(figure2.steps(records, goal))):
        text = f"the median seed is at {goal:.2%} by step {step:,.0f}"
        traces.append(mark(step, goal, title, tags | {"line": "mean"}, colour, "circle-open", text))
    for record in records:
        if record.diverged:
            step, top1 = record.status["diverged_at"], curves.mean(axis=1).iloc[-1] if len(curves) else 0.0
            text = f"seed {record.seed} diverges at step {step:,}"
            traces.append(mark(step, top1, title, tags, colour, "x", text))
    return traces


def speed(arms: Arms) -> Chart:
    """Figure 2 in its readings; each network can be hidden, and the controls without BN are hidden at first."""
    readings = {name: (*variants, *figure2_plot.EXTRA.get(name, ())) for name, variants in figure2.READINGS.items()}
    if set(figure2.GOOGLENET) <= arms.keys():
        readings["GoogLeNet"] = figure2.GOOGLENET
    traces, readings_of = [], {}
    for reading, variants in readings.items():
        baseline = arms[variants[0]]
        goal, last = figure2.target(baseline), baseline[0].status["steps"]
        for variant in filter(arms.__contains__, variants):
            traces += _network(arms, variant, reading, goal)
            readings_of.setdefault(figure2.plain_name(variant), []).append(reading)
        text = f"95 % of the final accuracy of {figure2.title(variants[0])}, {goal:.2%}"
        traces.append(line([1, last], [goal] * 2, text, {"reading": reading}, "ink", width=1, dash="dash"))
    networks = []
    for name, offered in readings_of.items():
        control = name in map(figure2.plain_name, figure2.CONTROLS)
        look = {"colour": ink(figure2_plot.COLOURS[name]), "dash": "dash" if control else ""}
        networks.append(Option(name, figure2.TITLES[name], **look, shown=not control, tags={"reading": offered}))
    controls = [
        Control("reading", "Reading", [Option(name, name) for name in readings]),
        Control("arm", "Networks", networks, many=True),
        _lines(arms),
        STEPS,
    ]
    axes = layout(460, TRAINING, axis("validation accuracy", tickformat=".0%", rangemode="tozero"))
    panels = [Panel("Validation accuracy", traces, axes)]
    return Chart("figure2", "Figure 2: validation accuracy", panels, controls)
