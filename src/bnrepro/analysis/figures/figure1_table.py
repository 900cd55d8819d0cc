"""Figure 1 in numbers, and as the registry knows it."""

from pathlib import Path

import pandas as pd

from bnrepro.analysis.figures import figure1
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.reading import sources
from bnrepro.analysis.reading.drift import layer_drift
from bnrepro.analysis.reading.load import Arms, Record, Source, by_variant
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import ClaimName, Page, Table
from bnrepro.analysis.render.text import headline, interval, percent, reached

VIEWS = {
    "percentiles": "training mode, after BN (the paper's)",
    "percentiles_inference": "inference mode, after BN",
    "percentiles_before": "training mode, W u before BN",
}
FREE_VIEW = "percentiles_before"  # the one that no normaliser holds in place
PAPER_SAYS = {
    "C31": ("C31, Fig. 1a", "BN trains faster and ends higher; no number printed"),
    "C32": (
        "C32, Fig. 1b, c",
        "the input distribution of a typical last-layer sigmoid is much more stable with BN; no number printed",
    ),
}


def _table_steps(curves: pd.DataFrame) -> list[int]:
    """Every 10,000 steps, or the last one of a short run."""
    return [step for step in curves.index if step % 10_000 == 0] or [int(curves.index.max())]


def _setting(records: list[Record]) -> str:
    optimizer, init = records[0].config["optimizer"], records[0].config["init"]
    rate = optimizer["base_lr"] * optimizer["lr_multiplier"]
    return f"rate {rate:g}, init std {init['std']:g}, n = {len(records)}."


def reading(title: str, without: list[Record], with_: list[Record]) -> Table:
    """Accuracy and steps to accuracy of two arms."""
    curves = [figure1.accuracies(arm) for arm in (without, with_)]
    shared = curves[0].index.intersection(curves[1].index)
    rows = []
    for step in _table_steps(curves[0].loc[shared]):
        accuracies = [percent(Estimate.of(arm.loc[step])) for arm in curves]
        gain = figure1.accuracy_gain(without, with_, step)
        rows.append([f"test accuracy at {step:,} steps, %", *accuracies, interval(gain, 100, 2, "+")])
    for target in figure1.TARGETS:
        steps = [reached(figure1.steps_to(arm, target)) for arm in (without, with_)]
        ratio = figure1.steps_ratio(without, with_, target)
        rows.append([f"steps to {target:.0%}", *steps, "" if ratio is None else f"ratio {interval(ratio)}"])
    head = ["", "without BN", "with BN", "difference, paired by seed"]
    settings = f"Without BN: {_setting(without)} With BN: {_setting(with_)}"
    return Table(head, rows, headline(title), settings, tight=True)


def drift_table(without: list[Record], with_: list[Record]) -> Table:
    """Drift of the sigmoid inputs, by layer and view."""
    rows = []
    for layer in sorted(set(without[0].probes["layers"].tolist()), reverse=True):
        plain = Estimate.of([layer_drift(r.probes, layer) for r in without])
        for view, name in VIEWS.items():
            bn = Estimate.of([layer_drift(r.probes, layer, view) for r in with_])
            drifts = [f"{arm.mean:.2f} ± {arm.sd:.2f}" for arm in (plain, bn)]
            rows.append([str(layer), name, *drifts, interval(figure1.drift_ratio(without, with_, view, layer))])
    title = "Drift of the sigmoid inputs"
    head = ["layer", "view of the BN network", "without BN", "with BN", "ratio"]
    return Table(head, rows, title, prose("figure1", title), tight=True)


def _above(without: list[Record], with_: list[Record]) -> str:
    exceptions = figure1.not_above(without, with_)
    but = f" but {', '.join(f'{step:,}' for step in exceptions)}" if exceptions else ""
    return f"above at every evaluation from step 1,000{but}"


def ours(without: list[Record], with_: list[Record]) -> dict[str, str]:
    """What was measured, by claim."""
    last = figure1.last_step(without, with_)
    gain = interval(figure1.accuracy_gain(without, with_, last), 100, 2, "+")
    drift, raw = (interval(figure1.drift_ratio(without, with_, view)) for view in ("percentiles", FREE_VIEW))
    faster = figure1.steps_ratio(without, with_, 0.97)
    sooner = "" if faster is None else f"; steps to 97 % with / without {interval(faster)}"
    return {
        "C31": f"{gain} points at {last:,} steps; mean curve {_above(without, with_)}{sooner}",
        "C32": f"drift ratio with / without {drift} after BN; {raw} for W u before BN, which nothing holds in place",
    }


def claims_table(without: list[Record], with_: list[Record]) -> Table:
    """The paper's two claims of Sec. 4.1 beside ours."""
    measured = ours(without, with_)
    rows = [[ClaimName(name), text, measured[claim]] for claim, (name, text) in PAPER_SAYS.items()]
    return Table(["claim", "the paper says", "ours"], rows, tight=True)


def quantities(arms: Arms) -> dict[str, str]:
    """The numbers of the main reading by name, for setting two sets of records side by side."""
    main = arms["plain"], arms["bn"]
    table = reading("", *main)
    measured = {f"{table.head[k]}: {row[0]}": row[k] for k in (1, 2) for row in table.rows}
    return measured | {"drift, with / without BN": interval(figure1.drift_ratio(*main))}


def check_table(first: Arms, again: Arms) -> Table:
    """The main reading once more, with seeds that had no part in the first."""
    rows = []
    pooled = {name: first[name] + again[name] for name in ("plain", "bn")}
    for arms in (first, again, pooled):
        plain, bn = arms["plain"], arms["bn"]
        seeds = [record.seed for record in plain]
        gain = figure1.accuracy_gain(plain, bn, figure1.last_step(plain, bn))
        ratio = interval(figure1.drift_ratio(plain, bn))
        rows.append([f"{min(seeds)} to {max(seeds)}", interval(gain, 100, 2, "+"), _above(plain, bn), ratio])
    title = "Checked again with other seeds"
    head = ["seeds", "BN's gain at the end, points", "BN's mean curve", "drift ratio, layer 3"]
    return Table(head, rows, title, prose("figure1", title), tight=True)


def page(arms: Arms, again: Arms | None = None) -> Page:
    """The whole of table.md, for the readings whose arms are there; ``again``: the main arms with other seeds."""
    main = arms["plain"], arms["bn"]
    tables = [
        claims_table(*main),
        *(reading(t, arms[p], arms[b]) for t, (p, b) in figure1.READINGS.items() if p in arms and b in arms),
        *([check_table(arms, again)] if again else []),
        drift_table(*main),
    ]
    opening = prose("figure1", "opening", seeds=[record.seed for record in arms["plain"]])
    return Page("Figure 1: MNIST, measured", opening, tables, level=3)


def _read(figure: Figure, source: Source, scale: str, results: Path) -> tuple[Arms, Arms | None]:
    """The arms, and where they are the committed ones, those of other seeds in figure1_check."""
    check = sources.records(results, "figure1_check", scale) if source == results else []
    return figure.arms(source, scale, results), by_variant(check, "plain", "bn") if check else None


FIGURE = Figure(
    "figure1",
    "Figure 1",
    lambda arms, again: {"figure": figure1.draw(arms)},
    page,
    needed=("plain", "bn"),
    scale="paper",
    read=_read,
    titles=figure1.TITLES,
    caption="""Three hidden layers of 100 sigmoids on binary images, 50,000 steps, with and without batch
    normalisation. The paper prints curves and no numbers. Its rates are not given, so the two networks are compared
    in three readings.""",
    with_own=figure1.draw,
    goals=lambda arms: figure1.TARGETS,
)
