"""The sections of the dashboard and their panels; every panel names keys that runs log (see `tracking.mirrored`)."""

from dataclasses import dataclass, field
from typing import Any

import wandb_workspaces.reports.v2 as wr

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure2_plot import COLOURS
from bnrepro.analysis.figures.layers_plot import LAYERS
from bnrepro.tracking.mirrored import LEVELS

DENSE = ("layer1", "layer2", "layer3")  # the layers of Figure 1's network
PLACES = {title: name.replace(".", "_") for title, name in LAYERS.items()}  # the layers of Inception
ACCURACY, BEST = "val/top1", "best/val/top1"
PICTURES = ("figure1", "figure2", "figure4")  # the committed drawings that are shown
OVERVIEW = "figures"  # the job type, and `figure` in the configuration, of the run that `overview` logs
LR = wr.Config("lr")
SEEDS = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}  # mean and range over seeds
UNGROUPED = dict.fromkeys(("groupby", *SEEDS))  # every run has a line of its own


@dataclass(frozen=True)
class Section:
    """A heading, a text and W&B's panels.

    ``runs`` is a filter of runs in W&B's language; an empty one takes all. With ``groups`` the seeds of a configuration
    are drawn as one line and a band.
    """

    name: str
    text: str
    panels: list[Any] = field(default_factory=list)
    runs: str = ""
    groups: bool = True


def _curve(title: str, *metrics: str, **options: Any) -> wr.LinePlot:
    """Metrics against training steps: the mean and the range over the seeds of each configuration."""
    usual = {"groupby": "Group", "max_runs_to_show": 100} | SEEDS
    return wr.LinePlot(title=title, x="Step", y=list(metrics), title_x="training steps", **usual | options)


def _percentiles(title: str, place: str) -> wr.LinePlot:
    """The three percentiles of a nonlinearity's input in single runs."""
    return _curve(title, *(f"{place}/{level}" for level in LEVELS), **UNGROUPED, max_runs_to_show=4)


def _bars(title: str, groupby: Any) -> wr.BarPlot:
    return wr.BarPlot(title=title, metrics=[BEST], groupby=groupby, max_bars_to_show=40, **SEEDS)


def figure2_style(run: str) -> dict[str, Any]:
    """Return the colours and marks of Figure 2's curves and crossings, given the id of the run that holds them."""
    colours, marks = {f"{run}:figure2/target": "#000000"}, {f"{run}:figure2/target": "dotted"}
    for variant in {name for variants in figure2.READINGS.values() for name in variants}:
        colour = COLOURS[figure2.plain_name(variant)]
        colours |= {f"{run}:figure2/{kind}/{variant}": colour for kind in ("curve", "crossing")}
        marks[f"{run}:figure2/crossing/{variant}"] = "points"
    return {"line_colors": colours, "line_marks": marks}


def _readings(run: str, logged: set[str]) -> list[wr.LinePlot]:
    """Figure 2's readings: the mean curves, and a point where each reaches 95 % of Inception's final accuracy."""
    panels = []
    for letter, (reading, variants) in zip("abc", figure2.READINGS.items(), strict=True):
        keys = [f"figure2/{kind}/{variant}" for kind in ("curve", "crossing") for variant in variants]
        title = f"({letter}) {reading.lower()}: validation accuracy, and where each matches Inception"
        metrics = ["figure2/target", *(key for key in keys if key in logged)]
        panels.append(_curve(title, *metrics, **UNGROUPED, **figure2_style(run)))
    return panels


def sections(run: str, logged: set[str]) -> list[Section]:
    """Return all sections, given the id of the run that `overview` logs and the keys of Figure 2 in it."""
    return [
        Section(
            "Figure 1",
            "A network of three sigmoid layers on MNIST, with and without batch normalisation (Sec. 4.1): test "
            "accuracy, and the 15th, 50th and 85th percentile of the input of one sigmoid of the last hidden layer.",
            [
                _curve("(a) test accuracy, mean and range over seeds", ACCURACY, range_y=(0.7, 1.0)),
                _percentiles("(b, c) input of a last-layer sigmoid", "sigmoid_input/layer3/unit0"),
                _curve("training loss", "train/loss"),
            ],
            runs="Config('figure') = 'figure1'",
        ),
        Section(
            "Figures 2 and 3",
            "Inception and its batch-normalised relatives (Sec. 4.2). The dotted line is 95 % of Inception's final "
            "accuracy; a point marks where the median seed of a network first gets there.",
            [
                *_readings(run, logged),
                _curve("validation accuracy of every run, mean and range over seeds", ACCURACY),
                _bars("highest accuracy, mean and range over seeds (Figure 3)", "Group"),
            ],
            runs=f"Config('figure') in ['figure2', '{OVERVIEW}']",
        ),
        Section(
            "Percentiles of each layer",
            "Figure 1(b, c) for every layer: the input of the nonlinearity in training mode.",
            [
                *(_percentiles(f"{layer}, mean over its units", f"sigmoid_input/{layer}/mean") for layer in DENSE),
                *(_percentiles(f"Inception, {title}", f"nonlinearity_input/{name}") for title, name in PLACES.items()),
            ],
            groups=False,
        ),
        Section(
            "Gradients",
            "Runs with probe.instruments=[gradients,weights]: the norms of each layer's gradient and weights.",
            [
                _curve("norm of the gradient to W", *(f"gradients/weight/{x}" for x in DENSE), log_y=True),
                _curve("the same, over the norm of W", *(f"gradients/weight_relative/{x}" for x in DENSE), log_y=True),
                _curve("norm of W", *(f"weights/norm/{x}" for x in DENSE)),
                _curve("Inception: the gradient", *(f"gradients/weight/{x}" for x in PLACES.values()), log_y=True),
            ],
        ),
        Section(
            "Sweeps",
            "Learning rate, initialisation, normaliser and regularisation against the highest accuracy. A tuning run "
            "is judged on its own split of the training set.",
            [
                wr.ScatterPlot(title="accuracy against the rate", x=LR, y=wr.SummaryMetric(BEST), log_x=True),
                wr.ScatterPlot(title="tuning: the same", x=LR, y=wr.SummaryMetric("best/tune/top1"), log_x=True),
                _bars("by normaliser", wr.Config("norm.name")),
                wr.ParallelCoordinatesPlot(title="the configuration and the highest accuracy", columns=_columns()),
                wr.ParameterImportancePlot(with_respect_to=BEST),
                wr.RunComparer(diff_only="split"),
            ],
            groups=False,
        ),
        Section(
            "Training",
            "How the runs are getting on.",
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
            "The committed figures and the committed ledger.",
            [
                wr.MediaBrowser(title="figures", media_keys=[f"figures/{name}" for name in PICTURES], num_columns=1),
                wr.WeavePanelSummaryTable(table_name="ledger"),
            ],
            runs=f"Config('figure') = '{OVERVIEW}'",
            groups=False,
        ),
    ]


def _columns() -> list[wr.ParallelCoordinatesPlotColumn]:
    keys = {"normaliser": "norm.name", "initialisation": "init.name", "dropout": "model.dropout", "L2": "l2"}
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(key), display_name=name) for name, key in keys.items()]
    rate = wr.ParallelCoordinatesPlotColumn(LR, display_name="learning rate", log=True)
    accuracy = wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(BEST), display_name="highest accuracy")
    return [rate, *columns, accuracy]
