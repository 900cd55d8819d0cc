"""The paper's figures as interactive charts, by the functions that draw and tabulate them in results/."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bnrepro.analysis.figures import figure1, figure2, figure2_plot, figure4, figure4_plot, layers_plot
from bnrepro.analysis.figures.figure1_table import VIEWS
from bnrepro.analysis.figures.figure4 import MOST, Evaluation
from bnrepro.analysis.reading.drift import typical_unit
from bnrepro.analysis.reading.load import Arms, Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.text import percent
from bnrepro.site.charts import STEPS, Chart, Control, Option, Panel, Tags, band, figure, ink, line, mark

DASHES = {"-": "solid", "--": "dash", ":": "dot"}  # matplotlib's names of line styles, and Plotly's
ACCURACY = {"tickformat": ".0%"}


def _ink(network: str) -> str:
    return ink(figure2_plot.COLOURS[network])


def _seeds(records: Sequence[Record], on: bool = False) -> Control:
    seeds = sorted({record.seed for record in records})
    mean = Option("mean", "mean and range", on=not on)
    return Control("line", "Lines", (mean, *(Option(str(s), f"seed {s}", on=on) for s in seeds)), many=True)


def _arm(curves: pd.DataFrame, name: str, tags: Tags, colour: str, dash: str = "solid") -> list:
    """Mean, range and each seed of one arm's curves."""
    means = [f"{percent(Estimate.of(row.dropna()))} %, n = {row.count()}" for _, row in curves.iterrows()]
    x, of_mean = curves.index, tags | {"line": "mean"}
    traces = [
        band(x, curves.min(axis=1), curves.max(axis=1), of_mean, colour),
        line(x, curves.mean(axis=1), name, of_mean, colour, dash=dash, text=means, hover="%{text}"),
    ]
    for seed in curves:
        own = curves[seed].dropna()
        label, chosen = f"{name}, seed {seed}", tags | {"line": str(seed)}
        traces.append(line(own.index, own, label, chosen, colour, dash=dash, width=1.2))
    return traces


def accuracy(arms: dict[str, list[Record]]) -> Chart:
    """Figure 1(a) in each of its readings."""
    readings = {name: pair for name, pair in figure1.READINGS.items() if set(pair) <= arms.keys()}
    traces = []
    for reading, pair in readings.items():
        for arm, variant in zip(("without", "with"), pair, strict=True):
            tags = {"reading": reading, "arm": arm}
            traces += _arm(figure1.accuracies(arms[variant]), f"{arm} BN", tags, arm)
    controls = (
        Control("reading", "Rates", [Option(name, name) for name in readings]),
        Control("arm", "Networks", [Option(a, f"{a} BN", colour=a) for a in ("without", "with")], many=True),
        _seeds([record for records in arms.values() for record in records]),
        STEPS,
        Control(
            "y",
            "Accuracy",
            (
                Option("as printed", "70 to 100 %", layout={"yaxis.range": [0.7, 1.0]}),
                Option("closer", "95 to 98 %", layout={"yaxis.range": [0.95, 0.98]}),
                Option("all", "all", layout={"yaxis.autorange": True}),
            ),
        ),
    )
    drawn = figure(traces, "training steps", "test accuracy", 420, yaxis={"tickformat": ".1~%"})
    return Chart("figure1a", "Figure 1(a): test accuracy", controls, [Panel("(a) test accuracy", drawn)])


def _percentiles(steps: np.ndarray, values: np.ndarray, name: str, tags: Tags, colour: str) -> list:
    low, median, high = values.astype(float).T
    texts = [f"{m:.2f} (15th {a:.2f}, 85th {b:.2f})" for a, m, b in zip(low, median, high, strict=True)]
    return [
        band(steps, low, high, tags, colour),
        line(steps, low, f"{name}, 15th percentile", tags, colour, width=1, hoverinfo="skip", hover=""),
        line(steps, high, f"{name}, 85th percentile", tags, colour, width=1, hoverinfo="skip", hover=""),
        line(steps, median, f"{name}, median", tags, colour, text=texts, hover="%{text}"),
    ]


def inputs(without: list[Record], with_: list[Record]) -> Chart:
    """Figure 1(b, c): the typical sigmoid of each seed, in each view of the network with BN."""
    panels = []
    for letter, name, records, views in (("b", "without", without, ["percentiles"]), ("c", "with", with_, VIEWS)):
        traces, notes = [], []
        for record in records:
            probes, seed = record.probes, {"seed": str(record.seed)}
            row = typical_unit(probes)
            unit = f"unit {probes['units'][row]} of layer {probes['layers'].max()}"
            notes.append((seed, unit))
            for view in views:
                tags = seed if name == "without" else seed | {"view": view}
                traces += _percentiles(probes["steps"], probes[view][:, row], f"{name} BN, {unit}", tags, name)
        drawn = figure(traces, "training steps", "input of the sigmoid", 340)
        panels.append(Panel(f"({letter}) {name} BN", drawn, notes))
    seeds = [Option(str(record.seed), str(record.seed)) for record in without]
    views = [Option(view, label) for view, label in VIEWS.items()]
    controls = (Control("seed", "Seed", seeds), Control("view", "View of the network with BN", views), STEPS)
    return Chart("figure1bc", "Figure 1(b, c): the input of a typical sigmoid", controls, panels, "1fr 1fr")


def _reading2(arms: Arms, variants: Sequence[str], reading: str, goal: float) -> list:
    traces = []
    for variant in variants:
        name, records = figure2.plain_name(variant), arms[variant]
        title, curves = figure2.title(variant), figure2.until_divergence(records)
        tags = {"reading": reading, "arm": name}
        traces += _arm(curves, title, tags, _ink(name), DASHES[figure2_plot.line_style(variant)])
        if np.isfinite(step := np.median(figure2.steps(records, goal))):
            label = f"the median seed is at {goal:.2%} by step {step:,.0f}"
            traces.append(mark(step, goal, title, tags | {"line": "mean"}, _ink(name), "circle-open", label))
        for record in records:
            if record.diverged:
                step, top1 = record.status["diverged_at"], curves.mean(axis=1).iloc[-1] if len(curves) else 0.0
                label = f"seed {record.seed} diverges at step {step:,}"
                traces.append(mark(step, top1, title, tags, _ink(name), "x", label))
    return traces


def _network(variant: str, readings: list[str]) -> Option:
    name, control = figure2.plain_name(variant), variant in figure2.CONTROLS
    tags = {"reading": readings}
    return Option(name, figure2.TITLES[name], _ink(name), "dash" if control else "", on=not control, tags=tags)


def speed(arms: Arms) -> Chart:
    """Figure 2 in its readings, each network to be taken out or in; the controls without BN are out at first."""
    groups = {name: (*variants, *figure2_plot.EXTRA.get(name, ())) for name, variants in figure2.READINGS.items()}
    if set(figure2.GOOGLENET) <= arms.keys():
        groups["GoogLeNet"] = figure2.GOOGLENET
    traces, shown = [], {}
    for reading, variants in groups.items():
        present = [name for name in variants if name in arms]
        baseline = arms[variants[0]]
        goal, last = figure2.target(baseline), baseline[0].status["steps"]
        traces += _reading2(arms, present, reading, goal)
        label = f"95 % of the final accuracy of {figure2.title(variants[0])}, {goal:.2%}"
        traces.append(line([1, last], [goal] * 2, label, {"reading": reading}, "ink", width=1, dash="dash"))
        for name in present:
            shown.setdefault(name, {}).setdefault(reading)
    readings_of: dict[str, list[str]] = {}
    for name, readings in shown.items():
        readings_of.setdefault(figure2.plain_name(name), []).extend(readings)
    first = {figure2.plain_name(name): name for name in reversed(shown)}
    options = [_network(first[name], readings) for name, readings in readings_of.items()]
    controls = (
        Control("reading", "Reading", [Option(name, name) for name in groups]),
        Control("arm", "Networks", options, many=True),
        _seeds([record for records in arms.values() for record in records]),
        STEPS,
    )
    drawn = figure(traces, "training steps", "validation accuracy", 460, yaxis=ACCURACY | {"rangemode": "tozero"})
    return Chart("figure2", "Figure 2: validation accuracy", controls, [Panel("Validation accuracy", drawn)])


def activations(without: list[Record], with_: list[Record]) -> Chart:
    """Figure 1(b, c) for layers of Inception: all channels of a layer together, and one of them."""
    panels = []
    for title, arm, view, colour in layers_plot.COLUMNS:
        traces, notes = [], []
        for record in (without, with_)[arm]:
            probes, units = record.probes, record.probes["units"]
            for layer, place in layers_plot.LAYERS.items():
                tags = {"layer": layer, "seed": str(record.seed)}
                pooled, channel = layers_plot.rows_of(probes, place)
                for row, channels, own in ((pooled, "all", "grey"), (channel, "one", ink(colour))):
                    name = f"{layer}, {'all channels' if channels == 'all' else f'channel {units[row]}'}"
                    values = probes[view][:, row]
                    traces += _percentiles(probes["steps"], values, name, tags | {"channels": channels}, own)
        panels.append(Panel(title, figure(traces, "training steps", "input of the nonlinearity", 320), notes))
    seeds = [Option(str(record.seed), str(record.seed)) for record in without]
    channels = [Option("all", "all of the layer", "grey"), Option("one", "one", "with")]
    controls = (
        Control("layer", "Layer", [Option(layer, layer) for layer in layers_plot.LAYERS]),
        Control("seed", "Seed", seeds),
        Control("channels", "Channels", channels, many=True),
        STEPS,
    )
    return Chart("activations", "Activations inside Inception", controls, panels, "1fr 1fr 1fr")


def ensembles(evaluation: Evaluation) -> Chart:
    """Figure 4: error by number of networks and crops; whether confidence can be believed."""
    panels = []
    for letter, top in (("a", 1), ("b", 5)):
        traces = []
        for crops in evaluation.info["crops"]:
            sizes = figure4.by_size(evaluation, crops, top=top)
            tags, name = {"crops": str(crops)}, f"{crops} crop{'s' * (crops > 1)}"
            texts = [f"{100 * m:.2f} % ({100 * a:.2f} to {100 * b:.2f})" for m, a, b in sizes.to_numpy()]
            traces.append(band(sizes.index, sizes["min"], sizes["max"], tags, ink(figure4_plot.COLOURS[crops])))
            errors = line(
                sizes.index,
                sizes["mean"],
                name,
                tags,
                ink(figure4_plot.COLOURS[crops]),
                mode="lines+markers",
                text=texts,
            )
            traces.append(
                errors.update(hovertemplate="<b>%{fullData.name}</b><br>%{x} networks: %{text}<extra></extra>")
            )
        axes = {"xaxis": {"dtick": 1}, "yaxis": {"tickformat": ".1~%"}}
        panels.append(Panel(f"({letter}) top-{top} error", figure(traces, "networks", "error", 340, **axes)))
    everyone, traces, top = tuple(range(1, evaluation.count + 1)), [], 0.0
    for name, networks, colour in (("network 1 alone", (1,), "without"), ("all together", everyone, "with")):
        bins = figure4.reliability(evaluation, MOST, networks)
        label = f"{name}, ECE {figure4.calibration_error(evaluation, MOST, networks):.1%}"
        texts = [f"{n:,.0f} images" for n in bins["images"]]
        sizes = {"size": (14 * (bins["images"] / bins["images"].sum()) ** 0.5 + 4).round(2).tolist()}
        trace = line(
            bins["confidence"], bins["accuracy"], label, {"who": colour}, colour, mode="lines+markers", text=texts
        )
        hover = "<b>%{fullData.name}</b><br>confidence %{x:.1%}, accuracy %{y:.1%}, %{text}<extra></extra>"
        traces.append(trace.update(hovertemplate=hover, marker=sizes))
        top = max(top, bins["confidence"].max(), bins["accuracy"].max())
    traces.append(
        line([0, top], [0, top], "as sure as right", {}, "ink", width=1, dash="dot", hoverinfo="skip", hover="")
    )
    axes = {"xaxis": ACCURACY, "yaxis": ACCURACY}
    panels.append(Panel(f"(c) reliability, {MOST} crops", figure(traces, "confidence", "accuracy", 340, **axes)))
    crops = [Option(str(k), f"{k} crop{'s' * (k > 1)}", ink(figure4_plot.COLOURS[k])) for k in evaluation.info["crops"]]
    who = [Option("without", "network 1 alone", "without"), Option("with", f"all {evaluation.count} together", "with")]
    controls = (Control("crops", "(a, b) Crops", crops, many=True), Control("who", "(c) Networks", who, many=True))
    return Chart("figure4", "Figure 4: crops and an ensemble", controls, panels, "1fr 1fr 1fr")
