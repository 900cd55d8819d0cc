"""Figure 3 and what belongs beside it: results/figure2/<scale>/table.md."""

from collections.abc import Iterable

import numpy as np

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure2 import BASELINE, PRINTED, Arms, gain, speed_up
from bnrepro.analysis.figures.figure2_claims import best_control, claims_table
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate, geometric
from bnrepro.analysis.render.text import grid, interval, paragraph, percent, reached

PAPER = "paper (ImageNet, 224 px)"


def times(slow: list[Record], fast: list[Record], goal: float) -> str:
    """How many times fewer steps the fast arm takes, with its interval; a bound is marked."""
    measured = speed_up(slow, fast, goal)
    if not len(measured.ratios):
        return "no seed in common"
    if all(np.isinf(figure2.steps(arm, goal)).all() for arm in (slow, fast)):
        return "neither gets there"
    return measured.sign + interval(geometric(measured.ratios))


def points(without: list[Record], with_: list[Record]) -> str:
    """Final accuracy of the second arm minus that of the first."""
    return interval(gain(without, with_), 100, 2, "+")


def _printed(variant: str) -> list[str]:
    """The paper's steps to its own target, and its maximum."""
    row = PRINTED.get(figure2.plain_name(variant))
    if row is None:
        return ["", ""]
    ratio = PRINTED[BASELINE].steps / row.steps
    fewer = f" ({ratio:.1f} times fewer)" if ratio > 1 else ""
    return [f"{row.steps / 1e6:.1f}M{fewer}" if np.isfinite(row.steps) else "never", f"{100 * row.top1:.1f}"]


def reading(arms: Arms, variants: Iterable[str], baseline: str = BASELINE, printed: bool = False) -> str:
    """Steps to the baseline's target, and final accuracy, of those arms that are there."""
    first = arms[baseline]
    goal, name = figure2.target(first), figure2.title(baseline)
    head = [
        "network",
        "rate",
        *([f"{PAPER}: steps to {PRINTED[BASELINE].top1:.1%}", f"{PAPER}: max. top-1, %"] if printed else []),
        f"ours ({dataset.title(first[0])}): n",
        f"steps to {goal:.2%}",
        f"times fewer than {name}",
        "final top-1, %",
        f"minus that of {name}, points",
    ]
    rows = [
        [
            figure2.title(variant),
            f"{figure2.rate(arms[variant][0]):g}",
            *(_printed(variant) if printed else []),
            str(len(arms[variant])),
            reached(figure2.steps(arms[variant], goal)),
            "" if variant == baseline else times(first, arms[variant], goal),
            percent(Estimate.of(figure2.finals(arms[variant]))),
            "" if variant == baseline else points(first, arms[variant]),
        ]
        for variant in variants
        if variant in arms
    ]
    return grid(head, rows)


def apart_table(arms: Arms) -> str:
    """What BN brings, and what the other changes bring: steps and final accuracy, one change at a time."""
    control = best_control(arms)
    pairs = [
        ("the other six changes, without BN", BASELINE, control),
        ("BN alone, nothing else changed", BASELINE, "bn_baseline"),
        ("BN alone, beta starts at 1", BASELINE, "bn_baseline_beta1"),
        ("BN and the rate x5, on top of the other changes", control, "bn_x5_equal"),
        ("the same, beta starts at 1", control, "bn_x5_beta1_equal"),
        ("BN alone, at x5 with all other changes", "inception_changes_x5_equal", "bn_x5_equal"),
        ("BN alone, at x30 with all other changes", "inception_changes_x30_equal", "bn_x30_equal"),
    ]
    goal = figure2.target(arms[BASELINE])
    rows = [
        [
            what,
            figure2.title(without),
            figure2.title(with_),
            times(arms[without], arms[with_], goal),
            points(arms[without], arms[with_]),
        ]
        for what, without, with_ in pairs
        if without in arms and with_ in arms
    ]
    return grid(["what is added", "from", "to", f"times fewer steps to {goal:.2%}", "final top-1, points"], rows)


def outcomes_table(arms: Arms) -> str:
    """What becomes of the networks that the paper says cannot be trained."""
    rows = [
        [
            figure2.title(variant),
            f"{figure2.rate(arms[variant][0]):g}",
            figure2.outcomes(arms[variant]),
            percent(Estimate.of(figure2.finals(arms[variant]))),
        ]
        for variant in (*figure2.FAILING, *figure2.WHOLE)
        if variant in arms
    ]
    return grid(["network", "rate", "outcome", "final top-1, %"], rows)


def _head(arms: Arms) -> list[str]:
    baseline = arms[BASELINE]
    first = baseline[0]
    missing = ", ".join(f"`{name}`" for name in figure2.VARIANTS if name not in arms)
    short = [
        f"{figure2.full_title(name)} {len(records)} of {figure2.seeds_wanted(name)}"
        for name, records in arms.items()
        if len(records) < figure2.seeds_wanted(name) and name not in figure2.WHOLE
    ]
    parts = [
        f"""Measured on {dataset.title(first)}, {dataset.held_out(first):,} validation images; T =
        {first.status["steps"]:,} steps of {first.config["training"]["batch_size"]} images. The rules are in
        docs/figure2-rules.md. Columns headed *{PAPER}* are what the paper prints: another experiment, of which
        only order and ratios can be set beside ours.""",
        f"""*Final top-1* is taken at the end with the population statistics of Alg. 2; ± is the standard deviation over
        seeds. The target, {figure2.target(baseline):.2%}, is {figure2.SHARE:g} times the mean final accuracy of
        Inception. *Steps* to it are where the running median over three evaluations of a seed's curve crosses it:
        median (range). *Times fewer* is the geometric mean over paired seeds of the ratio of steps. A seed that never
        crosses counts with T steps; ≥ and ≤ then mark a bound. Brackets are 95 % Student-t intervals over paired
        seeds, on logarithms for ratios.""",
        *([f"Seeds so far, where the rules ask for more: {'; '.join(short)}."] if short else []),
        *([f"Not trained yet: {missing}."] if missing else []),
        "The verdicts are in results/claims.md: their p-values are adjusted over the endpoints of all figures.",
    ]
    return ["# Figures 2 and 3: Inception with and without BN, measured", *(paragraph(part) for part in parts)]


def sections(arms: Arms) -> dict[str, tuple[str, str]]:
    """By title what a table shows, and the table; for what is there."""
    texts = {
        "Equal budget": "Every arm trains for T steps, and its rate decays to the same share of its first value.",
        "Equal budget, beta starts at 1": """The same networks, but every beta starts at 1 and not at 0. The paper
        gives no initial beta.""",
        "The paper's reading": """BN-x* decay six times faster than Inception and train for T/4: in the paper BN-x30
        is at its maximum after 6M of Inception's 31M steps.""",
    }
    parts = {
        name: (texts[name], reading(arms, variants, printed=True))
        for name, variants in figure2.READINGS.items()
        if any(variant in arms for variant in variants[1:])
    }
    if any(name in arms for name in figure2.CONTROLS):
        parts["All changes but BN"] = (
            "All changes of Sec. 4.2.1 but BN, at three rates, for all of T.",
            reading(arms, (BASELINE, *figure2.CONTROLS)),
        )
        parts["What BN brings, taken apart"] = (
            """BN-x5 and BN-x30 change seven things at once. Each row adds one thing to the network on its left. The
            other six changes stand at the rate that suits them best without BN.""",
            apart_table(arms),
        )
    if any(name in arms for name in (*figure2.FAILING, *figure2.WHOLE)):
        parts["What the paper says cannot be trained"] = (
            """A run stays at chance if its highest accuracy is less than 3 binomial standard deviations above
            1 / classes. A run that is at chance after a tenth of T ends there; two were trained to the end to check
            this.""",
            outcomes_table(arms),
        )
    if figure2.GOOGLENET[0] in arms:
        text = "The network of arXiv:1409.4842 at its own best rate; its own accuracy is the target."
        parts["GoogLeNet"] = (text, reading(arms, figure2.GOOGLENET, figure2.GOOGLENET[0]))
    return {title: (paragraph(prose), grid_of) for title, (prose, grid_of) in parts.items()}


def table(arms: Arms) -> str:
    """The whole of table.md, for the arms that are there; `figure2.REQUIRED` must be."""
    parts = [*_head(arms), claims_table(arms).rstrip()]
    for title, (prose, grid_of) in sections(arms).items():
        parts += [f"## {title}", prose, grid_of.rstrip()]
    return "\n\n".join(parts) + "\n"
