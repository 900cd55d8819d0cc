"""Figure 1: test accuracy, and the input of a typical sigmoid, without and with batch normalisation."""

import string

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from bnrepro.analysis.reading.curves import accuracies, paired
from bnrepro.analysis.reading.drift import layer_drift, typical_unit
from bnrepro.analysis.reading.load import Arms, Record
from bnrepro.analysis.reading.statistics import Estimate, geometric
from bnrepro.analysis.render import style
from bnrepro.analysis.render.style import WITH, WITHOUT

TARGETS = (0.90, 0.95, 0.97)
CLOSER = (0.955, 0.98)  # accuracies of the inset
TITLES = {
    "plain": "without BN",
    "bn": "with BN",
    "plain_at_bn_best": "without BN, at BN's best",
    "bn_best": "with BN, at its own best",
}
READINGS = {  # which arms stand side by side: (without, with)
    "both at the plain network's best": ("plain", "bn"),
    "both at the BN network's best": ("plain_at_bn_best", "bn_best"),
    "each at its own best": ("plain", "bn_best"),
}


def steps_to(records: list[Record], target: float) -> np.ndarray:
    """Return the first evaluated step at or above a target accuracy, for each seed; infinity if there is none."""
    curves = accuracies(records) >= target
    return np.array([above.idxmax() if above.any() else np.inf for _, above in curves.items()], float)


def accuracy_gain(without: list[Record], with_: list[Record], step: int) -> Estimate:
    """Return BN's test accuracy minus the plain network's at a step, paired by seed."""
    plain, bn = (accuracies(arm).loc[step].to_numpy() for arm in paired(without, with_))
    return Estimate.of(bn - plain)


def steps_ratio(without: list[Record], with_: list[Record], target: float) -> Estimate | None:
    """Return BN's steps to an accuracy over the plain network's, paired by seed; None if a seed never reaches it."""
    plain, bn = (steps_to(arm, target) for arm in paired(without, with_))
    return geometric(bn / plain) if np.isfinite([plain, bn]).all() else None


def drift_ratio(without: list[Record], with_: list[Record], view: str = "percentiles", layer: int = -1) -> Estimate:
    """Return BN's drift over the plain network's in one layer, paired by seed, without the runs that diverged."""
    plain, bn = paired(*([r for r in arm if not r.diverged] for arm in (without, with_)))
    own = [layer_drift(r.probes, layer, view) for r in bn]
    return geometric(np.array(own) / [layer_drift(r.probes, layer) for r in plain])


def not_above(without: list[Record], with_: list[Record], first: int = 1000) -> list[int]:
    """Return the evaluations, from a step on, at which BN's mean accuracy is not above the plain network's."""
    gain = accuracies(with_).mean(axis=1).sub(accuracies(without).mean(axis=1)).dropna().loc[first:]
    return gain.index[gain <= 0].tolist()


def last_step(without: list[Record], with_: list[Record]) -> int:
    """Return the last step at which both arms were evaluated."""
    return int(accuracies(without).index.intersection(accuracies(with_).index).max())


def _draw_accuracy(axes: Axes, arms: dict[str, tuple[list[Record], str]], zoom: bool = True) -> None:
    for label, (records, colour) in arms.items():
        style.draw_seeds(axes, accuracies(records), colour, f"{label} (n = {len(records)})")
    axes.set(ylim=(0.7, 1.0), yticks=[0.7, 0.8, 0.9, 1.0], ylabel="test accuracy")
    axes.legend(loc="lower right", fontsize=None if len(arms) == 2 else 7)
    if min(accuracies(records).mean(axis=1).max() for records, _ in arms.values()) < CLOSER[0]:
        axes.set(ylim=(0.0, 1.0), yticks=[0.0, 0.25, 0.5, 0.75, 1.0])
    elif zoom:
        closer = axes.inset_axes((0.22, 0.36, 0.74, 0.36))
        _draw_accuracy(closer, arms, zoom=False)
        closer.get_legend().remove()
        closer.set(ylim=CLOSER, yticks=[0.96, 0.97, 0.98], xticklabels=[], ylabel="")
        closer.tick_params(labelsize=7)


def _probed(record: Record) -> bool:
    """Whether its record has the percentiles of its sigmoids' inputs."""
    return (record.path / "probes.npz").is_file() and "percentiles" in record.probes


def _draw_percentiles(axes: Axes, record: Record, colour: str, title: str) -> None:
    probes = record.probes
    row = typical_unit(probes)
    style.draw_percentiles(axes, probes["steps"], probes["percentiles"][:, row], colour)
    axes.set_title(f"{title.format(unit=probes['units'][row])}, seed {record.seed}", loc="left", fontsize=9)


def draw(arms: Arms, own: Arms | None = None) -> Figure:
    """The paper's layout: (a) accuracy; (b, c) 15th, 50th and 85th percentile of one unit, without and with BN.

    Variants of one's ``own`` have a curve in (a), and where their records have the percentiles a panel below.
    """
    plain, bn, own = arms["plain"], arms["bn"], own or {}
    coloured = {name: (own[name], colour) for name, colour in style.own_colours(own).items()}
    panels = [("without BN: unit {unit} of layer 3", plain[0], WITHOUT)]
    panels += [("with BN: unit {unit} of layer 3", bn[0], WITH)]
    panels += [
        (f"{name}: unit {{unit}}", arm[0], colour) for name, (arm, colour) in coloured.items() if _probed(arm[0])
    ]
    rows = 1 + -(-(len(panels) - 2) // 3)
    figure = Figure(figsize=(10, 3.1 * rows), layout="constrained")
    first, *others = figure.subplots(rows, 3, width_ratios=(1.4, 1, 1), squeeze=False).flat
    _draw_accuracy(first, {"with BN": (bn, WITH), "without BN": (plain, WITHOUT)} | coloured)
    first.set_title("(a) test accuracy, mean and range over seeds", loc="left", fontsize=9)
    others, empty = others[: len(panels)], others[len(panels) :]
    for letter, axes, (title, record, colour) in zip(string.ascii_lowercase[1:], others, panels, strict=False):
        _draw_percentiles(axes, record, colour, f"({letter}) {title}")
    for axes in (others[0], *others[2::3]):
        axes.set_ylabel("input of the sigmoid,\n15th, 50th, 85th percentile")
    for axes in (others[0], *others[2:]):
        axes.sharey(others[1])
    for axes in empty:
        axes.remove()
    for axes in (first, *others):
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("training steps")
    return figure
