"""The tables of Figure 1, and its description for the registry."""

from pathlib import Path

from bnrepro.analysis.figures import figure1
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.reading.curves import accuracies
from bnrepro.analysis.reading.drift import layer_drift
from bnrepro.analysis.reading.load import Arms, Record, Source, by_variant, records_of
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.prose import prose, tabulate
from bnrepro.analysis.render.table import Page, Table
from bnrepro.analysis.render.text import OF_RATIOS, OVER_SEEDS, interval, percent, reached

VIEWS = {
    "percentiles": "training mode, after BN (the paper's)",
    "percentiles_inference": "inference mode, after BN",
    "percentiles_before": "training mode, W u before BN",
}


def _setting(records: list[Record]) -> str:
    first = records[0]
    return f"rate {first.rate:g}, init std {first.config['init']['std']:g}, n = {len(records)}."


def reading(title: str, without: list[Record], with_: list[Record]) -> Table:
    """Tabulate accuracy at every 10,000 steps, and steps to accuracies, of two arms."""
    curves = [accuracies(arm) for arm in (without, with_)]
    shared = curves[0].index.intersection(curves[1].index)
    rows = []
    for step in [step for step in shared if step % 10_000 == 0] or [int(shared.max())]:
        means = [percent(Estimate.of(arm.loc[step])) for arm in curves]
        gain = figure1.accuracy_gain(without, with_, step)
        rows.append([f"test accuracy at {step:,} steps, %", *means, interval(gain, 100, 2, "+")])
    for target in figure1.TARGETS:
        steps = [reached(figure1.steps_to(arm, target)) for arm in (without, with_)]
        ratio = figure1.steps_ratio(without, with_, target)
        rows.append([f"steps to {target:.0%}", *steps, "" if ratio is None else f"ratio {interval(ratio)}"])
    head = ["", "without BN (± sd)", "with BN (± sd)", f"difference or ratio, paired by seed {OVER_SEEDS}"]
    settings = f"Without BN: {_setting(without)} With BN: {_setting(with_)}"
    return Table(head, rows, title[:1].upper() + title[1:], settings)


def drift_table(without: list[Record], with_: list[Record]) -> Table:
    """Tabulate the drift of the sigmoid inputs, by layer and view of the network with BN."""
    rows = []
    for layer in sorted(set(without[0].probes["layers"].tolist()), reverse=True):
        plain = Estimate.of([layer_drift(record.probes, layer) for record in without])
        for view, name in VIEWS.items():
            bn = Estimate.of([layer_drift(record.probes, layer, view) for record in with_])
            rows.append(
                {
                    "layer": str(layer),
                    "view of the BN network": name,
                    "without BN (± sd)": f"{plain.mean:.2f} ± {plain.sd:.2f}",
                    "with BN (± sd)": f"{bn.mean:.2f} ± {bn.sd:.2f}",
                    f"ratio {OF_RATIOS}": interval(figure1.drift_ratio(without, with_, view, layer)),
                }
            )
    return tabulate("figure1", "Drift of the sigmoid inputs", rows)


def _comparison(without: list[Record], with_: list[Record]) -> tuple[int, str, str]:
    """Return the last step that both arms share, BN's gain at it in points, and where BN's mean curve is higher."""
    last = figure1.last_step(without, with_)
    gain = interval(figure1.accuracy_gain(without, with_, last), 100, 2, "+")
    exceptions = ", ".join(f"{step:,}" for step in figure1.not_above(without, with_))
    return last, gain, "at every evaluation" + (f", except at step {exceptions}" if exceptions else "")


def claims_table(without: list[Record], with_: list[Record]) -> Table:
    """Tabulate the paper's two claims of Sec. 4.1 beside our measurements."""
    last, gain, higher = _comparison(without, with_)
    accuracy = f"With BN accuracy at {last:,} steps is higher by {gain} points."
    accuracy += f" From step 1,000 on the mean curve is higher with BN {higher}."
    if faster := figure1.steps_ratio(without, with_, 0.97):
        accuracy += f" BN needs {interval(faster)} times the steps to reach 97 %."
    after, before = (interval(figure1.drift_ratio(without, with_, f"percentiles{view}")) for view in ("", "_before"))
    drift = f"With BN the drift is {after} times that without. The drift of W u, before BN acts, is {before} times."
    better = "BN trains faster and ends higher; no number printed"
    stable = "the input distribution of a typical last-layer sigmoid is much more stable with BN; no number printed"
    rows = [["C31, Fig. 1a", better, accuracy], ["C32, Fig. 1b, c", stable, drift]]
    return Table(["claim", "the paper says", f"ours {OVER_SEEDS}"], rows)


def quantities(arms: Arms) -> dict[str, str]:
    """Return the numbers of the main reading by name, so that two sets of records can be compared."""
    main = arms["plain"], arms["bn"]
    table = reading("", *main)
    measured = {f"{name}: {row[0]}": row[k] for k, name in ((1, "without BN"), (2, "with BN")) for row in table.rows}
    return measured | {"drift, with / without BN": interval(figure1.drift_ratio(*main))}


def check_table(first: Arms, again: Arms) -> Table:
    """Tabulate the main reading for the first seeds, for other seeds, and for all of them."""
    rows = []
    pooled = {name: first[name] + again[name] for name in ("plain", "bn")}
    for arms in (first, again, pooled):
        plain, bn = arms["plain"], arms["bn"]
        seeds = [record.seed for record in plain]
        _, gain, higher = _comparison(plain, bn)
        rows.append(
            {
                "seeds": f"{min(seeds)} to {max(seeds)}",
                f"BN's gain at the end, points {OVER_SEEDS}": gain,
                "from step 1,000 on BN's mean curve is higher": higher,
                f"drift ratio, layer 3 {OF_RATIOS}": interval(figure1.drift_ratio(plain, bn)),
            }
        )
    return tabulate("figure1", "Checked again with other seeds", rows)


def page(arms: Arms, again: Arms | None = None) -> Page:
    """Make table.md from the arms that are there; ``again`` has the two main arms with other seeds."""
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
    """Read the arms; if they are the committed ones, also the committed runs with other seeds."""
    check = records_of(results, "figure1_check", scale) if source == results else []
    return figure.arms(source, scale, results), by_variant(check, "plain", "bn") if check else None


FIGURE = Figure(
    "figure1",
    "Figure 1",
    lambda arms, again: {"figure": figure1.draw(arms)},
    page,
    required_variants=("plain", "bn"),
    scale="paper",
    read=_read,
    titles=figure1.TITLES,
    caption="""Three hidden layers of 100 sigmoids on binary images, 50,000 steps, with and without batch
    normalisation. The paper prints curves and no numbers. Its rates are not given, so the two networks are compared
    in three readings.""",
    draw_with_variants=figure1.draw,
    goals=lambda arms: figure1.TARGETS,
)
