"""Figure 3 and the tables beside it, and the description of Figures 2 and 3 for the registry."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure as Drawing

from bnrepro.analysis.figures import figure2, figure2_plot, layers_plot
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.figures.figure2 import BASELINE, PRINTED, gain, speed_up
from bnrepro.analysis.figures.figure2_claims import best_control, claims_table
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.curves import finals
from bnrepro.analysis.reading.load import Arms, Record
from bnrepro.analysis.reading.statistics import Estimate, geometric
from bnrepro.analysis.render.prose import prose, tabulate
from bnrepro.analysis.render.table import Page, Table
from bnrepro.analysis.render.text import OF_RATIOS, OVER_SEEDS, interval, percent, reached

PAPER = "paper (ImageNet, 224 px)"


def times(slow: list[Record], fast: list[Record], goal: float) -> str:
    """Return how many times fewer steps the fast arm takes, with the interval and, of a bound, its sign."""
    ratios, sign = speed_up(slow, fast, goal)
    if not len(ratios):
        return "no seed in common"
    if all(np.isinf(figure2.steps(arm, goal)).all() for arm in (slow, fast)):
        return "neither gets there"
    return f"{sign} {interval(geometric(ratios))}".strip()


def points(without: list[Record], with_: list[Record]) -> str:
    """Return the final accuracy of the second arm minus that of the first, in points."""
    difference = gain(without, with_)
    return interval(difference, 100, 2, "+") if difference.n else "no seed in common"


def _printed(variant: str) -> dict[str, str]:
    """Return the cells of the paper: the steps to its own target, and its maximum."""
    steps, top1 = "", ""
    if row := PRINTED.get(figure2.plain_name(variant)):
        ratio = PRINTED[BASELINE].steps / row.steps
        steps = f"{row.steps / 1e6:.1f}M" if np.isfinite(row.steps) else "never"
        steps += f" ({ratio:.1f} times fewer)" if ratio > 1 else ""
        top1 = f"{100 * row.top1:.1f}"
    return {f"{PAPER}: steps to {PRINTED[BASELINE].top1:.1%}": steps, f"{PAPER}: max. top-1, %": top1}


def _final(arm: list[Record]) -> str:
    return percent(Estimate.of(finals(arm)))


def reading(
    arms: Arms, variants: Iterable[str], title: str = "", baseline: str = BASELINE, printed: bool = False
) -> Table:
    """Tabulate steps to the baseline's target and final accuracy of the variants that have records."""
    first, name = arms[baseline], figure2.title(baseline)
    goal = figure2.target(first)
    rows = []
    for variant in variants:
        if arm := arms.get(variant):
            is_baseline = variant == baseline
            rows.append(
                {"network": figure2.title(variant), "rate": f"{arm[0].rate:g}"}
                | (_printed(variant) if printed else {})
                | {
                    f"ours ({dataset.title(first[0])}): n": str(len(arm)),
                    f"steps to {goal:.2%}": reached(figure2.steps(arm, goal)),
                    f"times fewer than {name} {OF_RATIOS}": "" if is_baseline else times(first, arm, goal),
                    "final top-1, % (± sd)": _final(arm),
                    f"minus that of {name}, points {OVER_SEEDS}": "" if is_baseline else points(first, arm),
                }
            )
    return tabulate("figure2", title, rows)


def apart_table(arms: Arms) -> Table:
    """Tabulate what each change brings, BN and the others, one change at a time."""
    control = best_control(arms)
    pairs = [
        ("the five other changes, without BN", BASELINE, control),
        ("BN alone, nothing else changed", BASELINE, "bn_baseline"),
        ("BN alone, beta starts at 1", BASELINE, "bn_baseline_beta1"),
        ("BN and the rate x5, on top of the other changes", control, "bn_x5_equal"),
        ("the same, beta starts at 1", control, "bn_x5_beta1_equal"),
        ("BN alone, at x5 with all other changes", "inception_changes_x5_equal", "bn_x5_equal"),
        ("BN alone, at x30 with all other changes", "inception_changes_x30_equal", "bn_x30_equal"),
    ]
    goal = figure2.target(arms[BASELINE])
    rows = [
        {
            "what is added": added,
            "from": figure2.title(without),
            "to": figure2.title(with_),
            f"times fewer steps to {goal:.2%} {OF_RATIOS}": times(arms[without], arms[with_], goal),
            f"final top-1, points {OVER_SEEDS}": points(arms[without], arms[with_]),
        }
        for added, without, with_ in pairs
        if without in arms and with_ in arms
    ]
    return tabulate("figure2", "What BN brings, taken apart", rows)


def outcomes_table(arms: Arms) -> Table:
    """Tabulate how the networks end that cannot be trained according to the paper."""
    rows = [
        {
            "network": figure2.title(variant),
            "rate": f"{arm[0].rate:g}",
            "outcome": figure2.outcomes(arm),
            "final top-1, % (± sd)": _final(arm),
        }
        for variant in (*figure2.FAILING, *figure2.NEVER_ENDED_EARLY)
        if (arm := arms.get(variant))
    ]
    checked = sum(len(arms.get(variant, [])) for variant in figure2.NEVER_ENDED_EARLY)
    return tabulate("figure2", "What the paper says cannot be trained", rows, checked=checked)


def _opening(arms: Arms) -> str:
    first = arms[BASELINE][0]
    devices = Counter(
        record.status.get("conditions", {}).get("gpu", "a CPU") for records in arms.values() for record in records
    )
    return prose(
        "figure2",
        "opening",
        data=dataset.title(first),
        images=f"{dataset.held_out(first):,}",
        steps=f"{first.status['steps']:,}",
        batch=first.config["training"]["batch_size"],
        target=f"{figure2.target(arms[BASELINE]):.2%}",
        share=f"{figure2.TARGET_SHARE:g}",
        trained_on=", ".join(f"{count} runs on {device}" for device, count in devices.most_common()),
        missing=[f"`{name}`" for name in figure2.VARIANTS if name not in arms],
        short=[
            f"{figure2.full_title(name)} {len(records)} of {figure2.SEEDS_WANTED}"
            for name, records in arms.items()
            if len(records) < figure2.SEEDS_WANTED and name not in (*figure2.NEVER_ENDED_EARLY, *figure2.GOOGLENET)
        ],
    )


def tables(arms: Arms) -> dict[str, Table]:
    """Return the tables for which there are records, by title."""
    shown = [
        reading(arms, variants, title, printed=True)
        for title, variants in figure2.READINGS.items()
        if any(variant in arms for variant in variants[1:])
    ]
    if any(name in arms for name in figure2.CONTROLS):
        shown.append(reading(arms, (BASELINE, *figure2.CONTROLS), "All changes but BN"))
        shown.append(apart_table(arms))
    if any(name in arms for name in (*figure2.FAILING, *figure2.NEVER_ENDED_EARLY)):
        shown.append(outcomes_table(arms))
    if figure2.GOOGLENET[0] in arms:
        shown.append(reading(arms, figure2.GOOGLENET, "GoogLeNet", figure2.GOOGLENET[0]))
    return {table.title: table for table in shown}


def page(arms: Arms) -> Page:
    """Make table.md from the arms that are there; those of `figure2.REQUIRED` must be."""
    title = "Figures 2 and 3: Inception with and without BN, measured"
    return Page(title, _opening(arms), [claims_table(arms), *tables(arms).values()])


def _draw(arms: Arms) -> dict[str, Drawing]:
    plain, bn = (arms[name][0] for name in figure2.REQUIRED)
    return {"figure": figure2_plot.draw(arms), "activations": layers_plot.draw(plain, bn)}


FIGURE = Figure(
    "figure2",
    "Figures 2 and 3",
    _draw,
    page,
    required_variants=figure2.REQUIRED,
    titles={name: figure2.full_title(name) for name in figure2.VARIANTS},
    caption="""The paper trains on ImageNet and this is Tiny-ImageNet, so only order and ratios can be set beside the
    paper's numbers. Rings are where the median seed is at 95 % of Inception's final accuracy, crosses where a run
    diverges. Dashed lines are the same networks without BN, off at first.""",
    draw_with_variants=figure2_plot.draw,
    goals=lambda arms: (figure2.target(arms[figure2.BASELINE]),),
)
