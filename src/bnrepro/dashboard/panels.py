"""What the dashboards show, section by section; every panel names keys that runs log (`tracking.mirrored`)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import wandb_workspaces.reports.v2 as wr

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure2_plot import COLOURS
from bnrepro.analysis.figures.layers_plot import LAYERS
from bnrepro.tracking.mirrored import LEVELS

DENSE = ("layer1", "layer2", "layer3")  # of the network of Figure 1
PLACES = {title: name.replace(".", "_") for title, name in LAYERS.items()}  # of Inception
ACCURACY, BEST = "val/top1", "best/val/top1"
PICTURES = ("figure1", "figure2", "figure4")  # shown as they are committed
SUMMARY = "figures"  # job type, and `figure` in the configuration, of the run that `overview` logs
Panels = list[Any]


@dataclass(frozen=True)
class Section:
    """A heading, what it shows, and its panels.

    Args:
        name: the heading.
        text: what there is to see.
        panels: W&B's panels.
        runs: a filter of runs, in W&B's language; empty: all.
        groups: whether seeds of a configuration are drawn as one line and a band.
    """

    name: str
    text: str
    panels: Panels = field(default_factory=list)
    runs: str = ""
    groups: bool = True


def _curve(title: str, *metrics: str, **options: Any) -> wr.LinePlot:
    """Against training steps: mean and range over the seeds of each configuration."""
    seeds = {"groupby": "Group", "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax", "max_runs_to_show": 100}
    return wr.LinePlot(title=title, x="Step", y=list(metrics), title_x="training steps", **seeds | options)


def _band(title: str, place: str, **options: Any) -> wr.LinePlot:
    """The three percentiles of a nonlinearity's input, of single runs."""
    single = {"groupby": None, "groupby_aggfunc": None, "groupby_rangefunc": None, "max_runs_to_show": 4}
    return _curve(title, *(f"{place}/{level}" for level in LEVELS), **single | options)


def of_figures(run: str) -> dict[str, Any]:
    """Colours and marks of Figure 2's curves and crossings, in the run of this id that holds them."""
    colours, marks = {f"{run}:figure2/target": "#000000"}, {f"{run}:figure2/target": "dotted"}
    for variant in {name for variants in figure2.READINGS.values() for name in variants}:
        colour = COLOURS[figure2.plain_name(variant)]
        colours |= {f"{run}:figure2/{kind}/{variant}": colour for kind in ("curve", "crossing")}
        marks[f"{run}:figure2/crossing/{variant}"] = "points"
    return {"line_colors": colours, "line_marks": marks}


def _readings(run: str, logged: Iterable[str]) -> Panels:
    """The panels of Figure 2: the mean curves, and a point where each gets to 95 % of Inception's final accuracy."""
    logged = set(logged)
    readings = []
    for letter, (reading, variants) in zip("abc", figure2.READINGS.items(), strict=True):
        named = [f"figure2/{kind}/{variant}" for kind in ("curve", "crossing") for variant in variants]
        readings.append(
            wr.LinePlot(
                title=f"({letter}) {reading.lower()}: validation accuracy, and where each matches Inception",
                x="Step",
                y=["figure2/target", *(key for key in named if key in logged)],
                title_x="training steps",
                max_runs_to_show=100,
                **of_figures(run),
            )
        )
    return readings


def sections(run: str, logged: Iterable[str]) -> list[Section]:
    """All sections.

    Args:
        run: the id of the run that `overview` logs.
        logged: the keys that it has of Figure 2: not every network gets as far as Inception.
    """
    lr, best = wr.Config("lr"), wr.SummaryMetric(BEST)
    column = wr.ParallelCoordinatesPlotColumn
    return [
        Section(
            "Figure 1",
            "A network of three sigmoid layers on MNIST, with and without batch normalisation (Sec. 4.1): test "
            "accuracy, and the 15th, 50th and 85th percentile of the input of one sigmoid of the last hidden layer.",
            [
                _curve("(a) test accuracy, mean and range over seeds", ACCURACY, range_y=(0.7, 1.0)),
                _band(
                    "(b, c) input of a last-layer sigmoid, 15th, 50th, 85th percentile", "sigmoid_input/layer3/unit0"
                ),
                _curve("training loss", "train/loss"),
            ],
            runs="Config('figure') = 'figure1'",
        ),
        Section(
            "Figures 2 and 3",
            "Inception and its batch-normalised relatives (Sec. 4.2). The dotted line is the highest accuracy that "
            "Inception reaches; a point marks where the mean over seeds of a network first gets there.",
            [
                *_readings(run, logged),
                _curve("validation accuracy of every run, mean and range over seeds", ACCURACY),
                wr.BarPlot(
                    title="highest accuracy, mean and range over seeds (Figure 3)",
                    metrics=[BEST],
                    groupby="Group",
                    groupby_aggfunc="mean",
                    groupby_rangefunc="minmax",
                    max_bars_to_show=40,
                ),
            ],
            runs=f"Config('figure') in ['figure2', '{SUMMARY}']",
        ),
        Section(
            "Percentiles of each layer",
            "Figure 1(b, c) for every layer: what the nonlinearity is given, in training mode.",
            [
                *(_band(f"{layer}, mean over its units", f"sigmoid_input/{layer}/mean") for layer in DENSE),
                *(_band(f"Inception, {title}", f"nonlinearity_input/{place}") for title, place in PLACES.items()),
            ],
            groups=False,
        ),
        Section(
            "Gradients",
            "Of runs with probe.instruments=[gradients,weights]: norms of each layer's gradient and of its weights.",
            [
                _curve("norm of the gradient to W", *(f"gradients/weight/{x}" for x in DENSE), log_y=True),
                _curve("the same, over the norm of W", *(f"gradients/weight_relative/{x}" for x in DENSE), log_y=True),
                _curve("norm of W", *(f"weights/norm/{layer}" for layer in DENSE)),
                _curve(
                    "Inception: norm of the gradient to W",
                    *(f"gradients/weight/{place}" for place in PLACES.values()),
                    log_y=True,
                ),
            ],
        ),
        Section(
            "Sweeps",
            "Learning rate, initialisation, normaliser and regularisation against the highest accuracy; tuning runs "
            "are judged on their own split of the training set.",
            [
                wr.ScatterPlot(title="highest accuracy against the learning rate", x=lr, y=best, log_x=True),
                wr.ScatterPlot(title="tuning: the same", x=lr, y=wr.SummaryMetric("best/tune/top1"), log_x=True),
                wr.BarPlot(
                    title="by normaliser",
                    metrics=[BEST],
                    groupby=wr.Config("norm.name"),
                    groupby_aggfunc="mean",
                    groupby_rangefunc="minmax",
                ),
                wr.ParallelCoordinatesPlot(
                    title="what a run is, and how far it gets",
                    columns=[
                        column(wr.Config("norm.name"), display_name="normaliser"),
                        column(lr, display_name="learning rate", log=True),
                        column(wr.Config("init.name"), display_name="initialisation"),
                        column(wr.Config("model.dropout"), display_name="dropout"),
                        column(wr.Config("l2"), display_name="L2"),
                        column(best, display_name="highest accuracy"),
                    ],
                ),
                wr.ParameterImportancePlot(with_respect_to=BEST),
                wr.RunComparer(diff_only="split"),
            ],
            groups=False,
        ),
        Section(
            "Training",
            "How runs are getting on.",
            [
                _curve("training loss", "train/loss"),
                _curve("validation loss", "val/loss"),
                _curve("validation accuracy, top 5", "val/top5"),
                _curve("learning rate", "lr", log_y=True),
                _curve("seconds", "seconds"),
            ],
        ),
        Section(
            "Figures and ledger",
            "As the committed records have them.",
            [
                wr.MediaBrowser(title="figures", media_keys=[f"figures/{name}" for name in PICTURES], num_columns=1),
                wr.WeavePanelSummaryTable(table_name="ledger"),
            ],
            runs=f"Config('figure') = '{SUMMARY}'",
            groups=False,
        ),
    ]
