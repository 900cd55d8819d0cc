"""Figure 1 in numbers."""

import pandas as pd

from bnrepro.analysis.figures import figure1
from bnrepro.analysis.reading.drift import layer_drift
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.text import interval, percent, reached

VIEWS = {
    "percentiles": "training mode, after BN (the paper's)",
    "percentiles_inference": "inference mode, after BN",
    "percentiles_before": "training mode, W u before BN",
}
FREE_VIEW = "percentiles_before"  # the one that no normaliser holds in place


def _table_steps(curves: pd.DataFrame) -> list[int]:
    """Every 10,000 steps, or the last one of a short run."""
    return [step for step in curves.index if step % 10_000 == 0] or [int(curves.index.max())]


def _setting(record: Record) -> str:
    optimizer, init = record.config["optimizer"], record.config["init"]
    return f"rate {optimizer['base_lr'] * optimizer['lr_multiplier']:g}, init std {init['std']:g}"


def reading(title: str, without: list[Record], with_: list[Record]) -> str:
    """One table: accuracy and steps to accuracy of two arms."""
    curves = {arm: figure1.accuracies(records) for arm, records in (("without", without), ("with", with_))}
    shared = curves["without"].index.intersection(curves["with"].index)
    lines = [
        f"### {title[0].upper()}{title[1:]}",
        "",
        f"Without BN: {_setting(without[0])}, n = {len(without)}. With BN: {_setting(with_[0])}, n = {len(with_)}.",
        "",
        "| | without BN | with BN | difference, paired by seed |",
        "|---|---|---|---|",
    ]
    for step in _table_steps(curves["without"].loc[shared]):
        plain, bn = (Estimate.of(curves[arm].loc[step]) for arm in ("without", "with"))
        gain = figure1.accuracy_gain(without, with_, step)
        lines.append(
            f"| test accuracy at {step:,} steps, % | {percent(plain)} | {percent(bn)} | {interval(gain, 100, 2, '+')} |"
        )
    for target in figure1.TARGETS:
        plain, bn = figure1.steps_to(without, target), figure1.steps_to(with_, target)
        ratio = figure1.steps_ratio(without, with_, target)
        text = "" if ratio is None else f"ratio {interval(ratio)}"
        lines.append(f"| steps to {target:.0%} | {reached(plain)} | {reached(bn)} | {text} |")
    return "\n".join([*lines, ""])


def drift_table(without: list[Record], with_: list[Record]) -> str:
    """Drift of the sigmoid inputs, by layer and view."""
    lines = [
        "### Drift of the sigmoid inputs",
        "",
        "Path length of a unit's median from step 1,000 to the end in units of its own 15-85 width, mean over units of",
        "a layer, mean ± sd over seeds; the ratio is the geometric mean over seeds with its 95 % interval. After BN",
        "the mean is beta and the variance gamma^2 by construction, in training mode over each batch and in inference",
        "mode over the population, so that stability there proves little; W u before BN carries no such guarantee.",
        "",
        "| layer | view of the BN network | without BN | with BN | ratio |",
        "|---|---|---|---|---|",
    ]
    for layer in sorted(set(without[0].probes["layers"].tolist()), reverse=True):
        plain = Estimate.of([layer_drift(r.probes, layer) for r in without])
        for view, name in VIEWS.items():
            bn = Estimate.of([layer_drift(r.probes, layer, view) for r in with_])
            ratio = figure1.drift_ratio(without, with_, view, layer)
            lines.append(
                f"| {layer} | {name} | {plain.mean:.2f} ± {plain.sd:.2f} | {bn.mean:.2f} ± {bn.sd:.2f} "
                f"| {interval(ratio)} |"
            )
    return "\n".join([*lines, ""])


def _above(without: list[Record], with_: list[Record]) -> str:
    exceptions = figure1.not_above(without, with_)
    but = f" but {', '.join(f'{step:,}' for step in exceptions)}" if exceptions else ""
    return f"above at every evaluation from step 1,000{but}"


RULES = {
    "C31": "interval of the gain at the end above 0, and the mean curve above at every evaluation from step 1,000",
    "C32": "interval of the drift ratio below 1",
}


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


def verdict_table(without: list[Record], with_: list[Record]) -> str:
    """The paper's two claims of Sec. 4.1 beside ours."""
    found, measured = figure1.verdicts(without, with_), ours(without, with_)
    return "\n".join(
        [
            "| claim | the paper says | ours | verdict |",
            "|---|---|---|---|",
            f"| C31, Fig. 1a | BN trains faster and ends higher; no number printed | {measured['C31']} "
            f"| {found['C31']} |",
            "| C32, Fig. 1b, c | the input distribution of a typical last-layer sigmoid is much more stable with BN; "
            f"no number printed | {measured['C32']} | {found['C32']} |",
            "",
        ]
    )


def quantities(arms: dict[str, list[Record]]) -> dict[str, str]:
    """The numbers of the main reading by name, for setting two sets of records side by side."""
    without, with_ = arms["plain"], arms["bn"]
    found = {}
    for title, records in (("without BN", without), ("with BN", with_)):
        curves = figure1.accuracies(records)
        for step in _table_steps(curves):
            found[f"{title}: test accuracy at {step:,} steps, %"] = percent(Estimate.of(curves.loc[step]))
        for target in figure1.TARGETS:
            found[f"{title}: steps to {target:.0%}"] = reached(figure1.steps_to(records, target))
    found["drift, with / without BN"] = interval(figure1.drift_ratio(without, with_))
    found |= {f"verdict on {claim}": verdict for claim, verdict in figure1.verdicts(without, with_).items()}
    return found


def check_table(first: dict[str, list[Record]], again: dict[str, list[Record]]) -> str:
    """The main reading once more, with seeds that had no part in the first."""
    lines = [
        "### Checked again with other seeds",
        "",
        "The verdicts above are on seeds 0 to 4 alone: the others were added after those were seen, so the last row,",
        "which pools them, is no test.",
        "",
        "| seeds | BN's gain at the end, points | BN's mean curve | drift ratio, layer 3 |",
        "|---|---|---|---|",
    ]
    pooled = {arm: first[arm] + again[arm] for arm in ("plain", "bn")}
    for arms in (first, again, pooled):
        plain, bn = arms["plain"], arms["bn"]
        seeds = [record.seed for record in plain]
        gain = figure1.accuracy_gain(plain, bn, figure1.last_step(plain, bn))
        lines.append(
            f"| {min(seeds)} to {max(seeds)} | {interval(gain, 100, 2, '+')} | {_above(plain, bn)} "
            f"| {interval(figure1.drift_ratio(plain, bn))} |"
        )
    return "\n".join([*lines, ""])


def table(arms: dict[str, list[Record]], again: dict[str, list[Record]] | None = None) -> str:
    """The whole of table.md, for the readings whose arms are there; ``again``: the main arms with other seeds."""
    without, with_ = arms["plain"], arms["bn"]
    seeds = ", ".join(str(record.seed) for record in without)
    parts = [
        "# Figure 1: MNIST, measured",
        "",
        f"n = {len(without)} seeds an arm ({seeds}); ± is the standard deviation over seeds, brackets are 95 %",
        "Student-t intervals over seeds. Test accuracy uses population statistics (Alg. 2). Verdicts follow the",
        "main reading: both arms at the plain network's best rate and initialisation, chosen on a split of the",
        "training set. Steps to an accuracy are the first evaluation that reaches it; evaluations are log-spaced, five",
        "a decade, and every 1,250 steps from there.",
        "",
        verdict_table(without, with_),
        *(reading(t, arms[p], arms[b]) for t, (p, b) in figure1.READINGS.items() if p in arms and b in arms),
        *([check_table(arms, again)] if again else []),
        drift_table(without, with_),
    ]
    return "\n".join(parts)
