"""The paper's claims about Figures 2 and 3 beside what was measured."""

from bnrepro.analysis import figure2
from bnrepro.analysis.figure2 import BASELINE, EQUAL, Arms, SpeedUp, gain, speed_up
from bnrepro.analysis.figure2_verdicts import CLAIMS, FEW_POINTS, HALF, UNTESTED, judge, readings
from bnrepro.analysis.load import Record
from bnrepro.analysis.statistics import Estimate, geometric
from bnrepro.analysis.text import grid, interval, percent

SAID = {  # Fig. 3 and Sec. 4.2.2
    "C33": "BN alone: as good as Inception in 43 % of the steps (2.3 times fewer), and 0.5 points higher in the end",
    "C34": "BN-x5: 14 times fewer steps than Inception, and 6.3 times fewer than BN-Baseline",
    "C35": "BN-x30: slower at first than BN-x5 (2.7M to 2.1M steps), and 1.8 points higher in the end",
    "C36": "Inception at 5 times the rate: its parameters reach machine infinity",
    "C37": "BN-x5-Sigmoid: 69.8 %, 3.2 points below BN-x5",
    "C38": "Inception with sigmoids and without BN: never better than chance",
}
WORDS = {"": "the paper's reading", EQUAL: "equal budget"}
RULES = {
    "C33": "ratio of steps above 1, difference of the maxima above 0",
    "C34": f"ratio of BN-Baseline's steps to BN-x5's above {HALF:g}",
    "C35": "ratio of BN-x30's steps to BN-x5's above 1, difference of the maxima above 0",
    "C36": "every run diverges; fails if none does",
    "C37": f"learns with every seed, difference of the maxima above -{100 * FEW_POINTS:g} points",
    "C38": "every run stays at chance; fails if none does",
}


def times(found: SpeedUp) -> str:
    """The mean ratio with its interval, the same wherever it is shown, or how many seeds have one."""
    if found.known:
        return ("≥ " if found.bound else "") + interval(geometric(found.ratios))
    there = int((found.ratios > 0).sum())
    return f"{there} of {len(found.ratios)} seeds get there" if there else "never gets there"


def _points(without: list[Record], with_: list[Record]) -> str:
    return f"{interval(gain(without, with_), 100, 2, '+')} points"


def ours(claim: str, arms: Arms, suffix: str) -> str:
    """What was measured, for a claim whose arms are there."""
    baseline, goal = arms[BASELINE], figure2.target(arms[BASELINE])
    x5, x30, sigmoid = (arms.get(f"{name}{suffix}", []) for name in ("bn_x5", "bn_x30", "bn_x5_sigmoid"))

    def ratio(slow: list[Record], fast: list[Record]) -> str:
        return times(speed_up(slow, fast, goal))

    if claim == "C33":
        bn = arms["bn_baseline"]
        final = interval(gain(baseline, bn, figure2.finals), 100, 2, "+")
        return f"steps, Inception's / BN-Baseline's: {ratio(baseline, bn)}; max. {_points(baseline, bn)}; final {final}"
    if claim == "C34":
        control = arms.get(f"inception_changes_x5{suffix}")
        return (
            f"steps, BN-Baseline's / BN-x5's: {ratio(arms['bn_baseline'], x5)}; Inception's / BN-x5's: "
            f"{ratio(baseline, x5)}; BN-x5's without BN / with: {ratio(control, x5) if control else 'not measured'}"
        )
    if claim == "C35":
        return f"steps, BN-x30's / BN-x5's: {ratio(x30, x5)}; max. {_points(x5, x30)}"
    if claim == "C36":
        return figure2.outcomes(arms["inception_x5"]) + _edge(arms)
    if claim == "C37":
        return f"max. {percent(Estimate.of(figure2.maxima(sigmoid)))} %, {_points(x5, sigmoid)} from BN-x5"
    return figure2.outcomes(arms["inception_sigmoid"])


def _edge(arms: Arms) -> str:
    """The lowest rate of the ladder at which no seed learns."""
    dead = [v for v in figure2.LADDER if v in arms and all(figure2.outcome(r) != "learns" for r in arms[v])]
    return f"; the first rate at which none learns: {figure2.rate(arms[dead[0]][0]):g}" if dead else ""


def claims_table(arms: Arms) -> str:
    """One row a claim and reading."""
    rows = []
    for claim in CLAIMS:
        for suffix in readings(claim):
            found = judge(claim, arms, suffix)
            where = f", {WORDS[suffix]}" if len(readings(claim)) > 1 else ""
            measured = "" if found == UNTESTED else ours(claim, arms, suffix)
            rows.append([claim + where, SAID[claim], measured, RULES[claim], found])
    return grid(["claim", "the paper says", "ours", "holds if", "verdict"], rows)
