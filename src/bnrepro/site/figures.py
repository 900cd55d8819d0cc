"""Figures 1(a) and 2 as interactive charts: the legend hides networks, and menus choose the reading and the axis."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from bnrepro.analysis.figures import figure1, figure2, figure2_plot
from bnrepro.analysis.reading.curves import accuracies
from bnrepro.analysis.reading.load import Arms
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.style import WITH, WITHOUT
from bnrepro.analysis.render.text import percent

DASHES = {"-": "solid", "--": "dash", ":": "dot"}  # Plotly's names of matplotlib's line styles
Readings = dict[str, list[go.Scatter]]  # the lines of each reading


def _network(curves: pd.DataFrame, name: str, colour: str, dash: str = "solid", shown: bool = True) -> list[go.Scatter]:
    """Return the range and the mean of one network's curves (T, seeds); the legend has both, or hides both."""
    steps, low, high = curves.index.to_list(), curves.min(axis=1).to_list(), curves.max(axis=1).to_list()
    means = [f"{percent(Estimate.of(row.dropna()))} %, n = {row.count()}" for _, row in curves.iterrows()]
    both = {"legendgroup": name, "visible": True if shown else "legendonly"}
    return [
        go.Scatter(
            x=steps + steps[::-1],
            y=high + low[::-1],
            fill="toself",
            opacity=0.3,
            mode="lines",
            line={"width": 0, "color": colour},
            hoverinfo="skip",
            showlegend=False,
            **both,
        ),
        go.Scatter(
            x=steps,
            y=curves.mean(axis=1).to_list(),
            name=name,
            mode="lines",
            line={"color": colour, "dash": dash},
            text=means,
            hovertemplate="step %{x:,}: %{text}",
            **both,
        ),
    ]


def _chart(readings: Readings, accuracy: str) -> go.Figure:
    """Make a chart with a menu of readings, the first of which is shown, and one of the scale of steps."""
    buttons = []
    for name in readings:
        visible = [trace.visible if other == name else False for other, traces in readings.items() for trace in traces]
        buttons.append({"label": name, "method": "restyle", "args": [{"visible": visible}]})
    scales = [
        {"label": f"{scale} steps", "method": "relayout", "args": [{"xaxis.type": scale}]}
        for scale in ("linear", "log")
    ]
    figure = go.Figure([trace for traces in readings.values() for trace in traces])
    for trace, visible in zip(figure.data, buttons[0]["args"][0]["visible"], strict=True):
        trace.visible = visible
    place = {"y": 1.02, "yanchor": "bottom", "xanchor": "left"}
    figure.update_layout(
        template="plotly_white",
        height=480,
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        xaxis_title="training steps",
        yaxis={"title": accuracy, "tickformat": ".1~%"},
        updatemenus=[{"buttons": buttons, "x": 0, **place}, {"buttons": scales, "x": 0.45, **place}],
    )
    return figure


def figure1_chart(arms: Arms) -> go.Figure:
    """Return Figure 1(a) in each of its readings."""
    return _chart(
        {
            reading: [
                *_network(accuracies(arms[without]), "without BN", WITHOUT),
                *_network(accuracies(arms[with_]), "with BN", WITH),
            ]
            for reading, (without, with_) in figure1.READINGS.items()
            if without in arms and with_ in arms
        },
        "test accuracy",
    )


def figure2_chart(arms: Arms) -> go.Figure:
    """Return Figure 2 in its readings; controls are hidden at first, and rings are where the median seed gets there."""
    readings: Readings = {}
    for reading, variants in figure2.READINGS.items():
        goal, last = figure2.target(arms[figure2.BASELINE]), arms[figure2.BASELINE][0].status["steps"]
        traces = []
        for variant in filter(arms.__contains__, (*variants, *figure2_plot.EXTRA.get(reading, ()))):
            records, colour = arms[variant], figure2_plot.COLOURS[figure2.plain_name(variant)]
            title, dash = figure2.title(variant), DASHES[figure2_plot.line_style(variant)]
            shown = variant not in figure2.CONTROLS
            traces += _network(figure2.until_divergence(records), title, colour, dash, shown)
            if np.isfinite(step := np.median(figure2.steps(records, goal))):
                ring = {"symbol": "circle-open", "size": 10, "color": colour, "line": {"width": 2}}
                both = {"legendgroup": title, "visible": traces[-1].visible, "showlegend": False}
                hover = f"{title}: {goal:.2%} by step {step:,.0f}<extra></extra>"
                traces.append(go.Scatter(x=[step], y=[goal], mode="markers", marker=ring, hovertemplate=hover, **both))
        line = {"color": "black", "dash": "dot", "width": 1}
        traces.append(go.Scatter(x=[1, last], y=[goal] * 2, name="the target", mode="lines", line=line, visible=True))
        readings[reading] = traces
    return _chart(readings, "validation accuracy")
