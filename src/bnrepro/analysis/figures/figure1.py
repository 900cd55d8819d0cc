"""Figure 1: test accuracy, and the input of a typical sigmoid, without and with batch normalisation."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from bnrepro.analysis.reading.curves import accuracies, paired
from bnrepro.analysis.reading.drift import layer_drift, typical_unit
from bnrepro.analysis.reading.load import Arms, Record
from bnrepro.analysis.reading.statistics import Estimate, geometric
from bnrepro.analysis.render import style
from bnrepro.analysis.render.style import WITH, WITHOUT

TARGETS = (0.90, 0.95, 0.97)
FIRST_DRAWN = 100  # step; earlier evaluations are left out of the drawing
LEAST_ERROR = 1e-4  # stands for no error at all on a logarithmic axis
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
    with_bn = [layer_drift(r.probes, layer, view) for r in bn]
    return geometric(np.array(with_bn) / [layer_drift(r.probes, layer) for r in plain])


def not_above(without: list[Record], with_: list[Record], first: int = 1000) -> list[int]:
    """Return the evaluations, from a step on, at which BN's mean accuracy is not above the plain network's."""
    gain = accuracies(with_).mean(axis=1).sub(accuracies(without).mean(axis=1)).dropna().loc[first:]
    return gain.index[gain <= 0].tolist()


def last_step(without: list[Record], with_: list[Record]) -> int:
    """Return the last step at which both arms were evaluated."""
    return int(accuracies(without).index.intersection(accuracies(with_).index).max())


def _draw_error(axes: Axes, arms: dict[str, tuple[list[Record], str]]) -> None:
    """Draw the test error on logarithmic axes from step 100 on, where the curves can be told apart."""
    ends = []
    for name, (records, colour) in arms.items():
        curves = accuracies(records)
        errors = 100 * (1 - curves.loc[min(FIRST_DRAWN, curves.index.max()) :]).clip(lower=LEAST_ERROR)
        ends.append((*style.draw_seeds(axes, errors, colour), name, colour))
    axes.set(xscale="log", yscale="log", ylabel="test error")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    style.label_ends(axes, ends)


def _draw_inputs(axes: Axes, record: Record, colour: str, name: str) -> None:
    """Draw the percentiles of the typical sigmoid's input."""
    probes = record.probes
    row = typical_unit(probes)
    values = probes["percentiles"][:, row]
    style.draw_percentiles(axes, probes["steps"], values, colour)
    for height, percentile in zip(values[-1].astype(float), ("15th", "median", "85th"), strict=True):
        axes.annotate(percentile, (probes["steps"][-1], height), (0, 3), textcoords="offset points", ha="right")
    axes.set_title(f"{name}, unit {probes['units'][row]}")


def draw(arms: Arms, user_variants: Arms | None = None) -> Figure:
    """Draw (a) the test error and (b, c) the input of one sigmoid of the last layer, without and with BN.

    ``user_variants`` have a curve in (a).
    """
    user_variants = user_variants or {}
    shown = {"without BN": (arms["plain"], WITHOUT), "with BN": (arms["bn"], WITH)}
    curves = shown | {name: (user_variants[name], colour) for name, colour in style.user_colours(user_variants).items()}
    figure = Figure(figsize=(7, 5.2))
    error, left, right = figure.subplot_mosaic("aa;bc", height_ratios=(1.2, 1)).values()
    _draw_error(error, curves)
    seeds = style.seeds({name: len(records) for name, (records, _) in curves.items()})
    error.set_title(f"(a) test error, mean and range ({seeds})")
    style.steps_axis(error)
    right.sharex(left)
    right.sharey(left)
    for letter, axes, (name, ((record, *_), colour)) in zip("bc", (left, right), shown.items(), strict=True):
        _draw_inputs(axes, record, colour, f"({letter}) {name}")
        style.steps_axis(axes)
    left.set_ylabel(f"input of a sigmoid, seed {arms['plain'][0].seed}")
    right.tick_params(labelleft=False)
    return figure
