"""Figure 3 and what belongs beside it: results/figure2/<scale>/table.md."""

from collections.abc import Iterable

import numpy as np

from bnrepro.analysis import dataset, figure2
from bnrepro.analysis.figure2 import BASELINE, EQUAL, PRINTED, Arms, gain, speed_up, steps
from bnrepro.analysis.figure2_claims import claims_table, times
from bnrepro.analysis.load import Record
from bnrepro.analysis.statistics import Estimate
from bnrepro.analysis.text import grid, interval, paragraph, percent, reached

PAPER = "paper (ImageNet, 224 px)"


def setting(record: Record) -> str:
    """The first rate, and what else is not as in the main comparison."""
    init, model = record.config["init"]["name"], record.config["model"]
    return f"{figure2.rate(record):g}" + (f", {init}" if init != "he" else "") + (", aux. head" if model["aux"] else "")


def _printed(variant: str) -> list[str]:
    """The paper's steps to its own target, and its maximum."""
    row = PRINTED.get(variant.removesuffix(EQUAL))
    if row is None:
        return ["", ""]
    ratio = PRINTED[BASELINE].steps / row.steps
    fewer = f" ({ratio:.1f} times fewer)" if ratio > 1 else ""
    return [f"{row.steps / 1e6:.1f}M{fewer}" if np.isfinite(row.steps) else "never", f"{100 * row.top1:.1f}"]


def _measured(records: list[Record], baseline: list[Record], goal: float) -> list[str]:
    own = records is baseline
    return [
        str(len(records)),
        reached(steps(records, goal)),
        "" if own else times(speed_up(baseline, records, goal)),
        percent(Estimate.of(figure2.maxima(records))),
        f"{np.median(figure2.steps_to_maximum(records)):,.0f}",
        "" if own else interval(gain(baseline, records), 100, 2, "+"),
        percent(Estimate.of(figure2.finals(records))),
    ]


def reading(arms: Arms, variants: Iterable[str], baseline: str = BASELINE, printed: bool = False) -> str:
    """Steps to the baseline's target, and maximum accuracy, of those arms that are there."""
    first = arms[baseline]
    goal, name = figure2.target(first), figure2.title(baseline)
    head = [
        "network",
        "rate",
        *([f"{PAPER}: steps to {PRINTED[BASELINE].top1:.1%}", f"{PAPER}: max. top-1, %"] if printed else []),
        f"ours ({dataset.title(first[0])}): n",
        f"steps to {goal:.2%}",
        f"times fewer than {name}",
        "max. top-1, %",
        "at step",
        f"max. minus that of {name}, points",
        "final top-1, %",
    ]
    rows = [
        [
            figure2.title(variant),
            setting(arms[variant][0]),
            *(_printed(variant) if printed else []),
            *_measured(arms[variant], first, goal),
        ]
        for variant in variants
        if variant in arms
    ]
    return grid(head, rows)


def pairs_table(arms: Arms) -> str:
    """Networks that differ in nothing but BN."""
    goal = figure2.target(arms[BASELINE])
    rows = []
    for variant, control in figure2.PAIRS.items():
        if variant in arms and control in arms:
            with_, without = arms[variant], arms[control]
            rows.append(
                [
                    figure2.full_title(variant),
                    *(percent(Estimate.of(figure2.maxima(arm))) for arm in (without, with_)),
                    interval(gain(without, with_), 100, 2, "+"),
                    *(reached(steps(arm, goal)) for arm in (without, with_)),
                    times(speed_up(without, with_, goal)),
                ]
            )
    head = ["network", "max. top-1 without BN, %", "with BN, %", "difference, points"]
    return grid([*head, f"steps to {goal:.2%} without BN", "with BN", "times fewer"], rows)


def matched_table(arms: Arms) -> str:
    """Accuracy of every arm after the same steps: a quarter of the baseline's."""
    baseline = arms[BASELINE]
    quarter = baseline[0].status["steps"] / 4

    def measure(records: list[Record]) -> np.ndarray:
        return figure2.at_step(records, quarter)

    rows = []
    for variant in figure2.VARIANTS:
        if variant in arms:
            records = arms[variant]
            decay = "slow" if records[0].config["schedule"]["decay_multiplier"] == 1 else "fast"
            difference = "" if records is baseline else interval(gain(baseline, records, measure), 100, 2, "+")
            rows.append(
                [figure2.title(variant), setting(records[0]), decay, percent(Estimate.of(measure(records))), difference]
            )
    head = ["network", "rate", "its decay", f"top-1 after {quarter:,.0f} steps, %", "minus Inception's, points"]
    return grid(head, rows)


def ladder_table(arms: Arms) -> str:
    """What becomes of Inception without BN as its rate rises."""
    rows = [
        [
            figure2.title(variant),
            f"{figure2.rate(arms[variant][0]):g}",
            figure2.outcomes(arms[variant]),
            percent(Estimate.of(figure2.maxima(arms[variant]))),
            percent(Estimate.of(figure2.finals(arms[variant]))),
        ]
        for variant in figure2.LADDER
        if variant in arms
    ]
    return grid(["network", "rate", "outcome", "max. top-1, %", "final top-1, %"], rows)


def _head(arms: Arms) -> list[str]:
    baseline = arms[BASELINE]
    first = baseline[0]
    missing = ", ".join(f"`{name}`" for name in figure2.VARIANTS if name not in arms)
    parts = [
        f"""Measured on {dataset.title(first)}, {dataset.held_out(first):,} validation images; T =
        {first.status["steps"]:,} steps of {first.config["training"]["batch_size"]} images. Columns headed *{PAPER}*
        are what the paper prints: another experiment, of which only order and ratios can be set beside ours.""",
        f"""The target, {figure2.target(baseline):.2%}, is the maximum of Inception's seed-mean curve after a running
        median of 3 evaluations. T, and not convergence, sets it: another T, with its own decay, would set another
        target, and other ratios of steps. *Steps* to it are the first evaluation at or above
        it, on each seed's own raw curve: median (range).""",
        """*Times fewer* is the geometric mean over seeds of the baseline's steps over the arm's, paired by seed; ≥
        means that a seed of the baseline does not get to the mean's target itself, and that all its steps were taken
        for it. Brackets are 95 % Student-t intervals, paired by seed, on logarithms for ratios; verdicts go by them. ±
        is the standard deviation over seeds.""",
        """*Max. top-1* is the highest point of each seed's curve, *at step* the median over seeds of where it is. The
        curve uses moving averages of BN's statistics, and the highest of many noisy points is a little too high, the
        more so the longer an arm trains. *Final top-1* is taken at the end of training, with the population
        statistics of Alg. 2.""",
        *([f"Not among these records: {missing}."] if missing else []),
    ]
    return ["# Figures 2 and 3: Inception with and without BN, measured", *(paragraph(part) for part in parts)]


def sections(arms: Arms) -> dict[str, tuple[str, str]]:
    """By title what a table shows, and the table; for what is there."""
    (paper, its_arms), (equal, equal_arms) = figure2.READINGS.items()
    found = {
        paper: (
            """BN-x* decay six times faster than Inception and train for T/4: in the paper BN-x30 is at its maximum
            after 6M of Inception's 31M steps.""",
            reading(arms, its_arms, printed=True),
        ),
        equal: (
            "Every arm trains for T, and decays to the same share of its first rate.",
            reading(arms, equal_arms, printed=True),
        ),
        "BN and nothing else": (
            """BN-x5 and BN-x30 change seven things at once. Here each network with BN stands beside the one that
            differs from it in BN alone, and the target is Inception's as before.""",
            pairs_table(arms),
        ),
    }
    found |= {
        f"Controls without BN, {name}": (
            "All changes of Sec. 4.2.1 but BN, at three rates.",
            reading(arms, (BASELINE, *group)),
        )
        for name, group in (("T/4 steps", figure2.CONTROLS), ("T steps", figure2.CONTROLS_EQUAL))
        if set(group) & set(arms)
    }
    found["After the same steps"] = (
        """At a quarter of T those whose decay is fast are at the end of their training, and the others, their rate
        still high, on their way.""",
        matched_table(arms),
    )
    found["How fast can Inception without BN go?"] = (
        """Without BN, everything else as Inception. A run stays at chance if its maximum is less than 3 binomial
        standard deviations above 1 / classes.""",
        ladder_table(arms),
    )
    if figure2.TUNED[0] in arms:
        text = """Rate and initialisation of each arm are those that a split of the training set chose
        (results/figure2_tuning); the target is now the tuned Inception's, and the untuned stand below."""
        found["Each at its own best"] = (text, reading(arms, (*figure2.TUNED, *figure2.REQUIRED), figure2.TUNED[0]))
    if figure2.GOOGLENET[0] in arms:
        text = "The network of arXiv:1409.4842, its own accuracy as the target."
        found["GoogLeNet"] = (text, reading(arms, figure2.GOOGLENET, figure2.GOOGLENET[0]))
    return {title: (paragraph(prose), grid_of) for title, (prose, grid_of) in found.items()}


def table(arms: Arms) -> str:
    """The whole of table.md, for the arms that are there; `figure2.REQUIRED` must be."""
    parts = [*_head(arms), claims_table(arms).rstrip()]
    for title, (prose, grid_of) in sections(arms).items():
        parts += [f"## {title}", prose, grid_of.rstrip()]
    return "\n\n".join(parts) + "\n"
