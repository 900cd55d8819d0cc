"""The verdicts on the paper's claims about Figures 2 and 3, by rules that follow its wording."""

from collections.abc import Callable

from bnrepro.analysis.figure2 import BASELINE, EQUAL, REQUIRED, Arms, at_chance, gain, speed_up, target
from bnrepro.analysis.load import Record
from bnrepro.analysis.statistics import geometric, verdict

HALF = 2.0  # C34's "far fewer": at most half the steps, the paper's own yardstick for BN alone (its ratio is 6.3)
FEW_POINTS = 0.05  # C37; the paper's are 3.2 points, and no number makes "a few"
UNTESTED = "untested"


def faster(slow: list[Record], fast: list[Record], goal: float, times: float = 1.0) -> str:
    """Whether one arm takes fewer steps to the target than another, by so many times.

    ``holds`` and ``fails`` by the 95 % Student-t interval on the logarithms of the ratios, paired by seed. A fast arm
    that never gets there with any of several seeds, where the slow one does, ``fails``; one that gets there with
    some, or that the slow one joins in never getting there, is ``inconclusive``; so is a lower bound that is below the
    threshold.
    """
    ratios, bound = found = speed_up(slow, fast, goal)
    if not found.known:
        return "fails" if len(ratios) > 1 and (ratios == 0).all() else "inconclusive"
    by_interval = verdict(geometric(ratios), times, above=True)
    return "inconclusive" if bound and by_interval == "fails" else by_interval


def every(*found: str) -> str:
    """The verdict on a claim of several parts."""
    return next((worst for worst in ("fails", "inconclusive") if worst in found), "holds")


def by_count(happened: list[bool]) -> str:
    """The verdict on something that happens or not, whatever the number of seeds: with all, with none, with some."""
    return "holds" if all(happened) else "inconclusive" if any(happened) else "fails"


def c33(arms: Arms, suffix: str) -> str:
    """BN alone matches the baseline in fewer steps, and its maximum is higher.

    Holds if the interval of the ratio of steps to the target lies above 1 and that of the difference of the maxima
    above 0; fails if either lies on the other side.
    """
    without, with_ = arms[BASELINE], arms["bn_baseline"]
    return every(faster(without, with_, target(without)), verdict(gain(without, with_), 0.0, above=True))


def c34(arms: Arms, suffix: str) -> str:
    """BN-x5 needs far fewer steps than BN-Baseline.

    Holds if the interval of the ratio of their steps to the target lies above `HALF`; fails if below. How much of it is
    BN is no part of the verdict: the control stands beside it.
    """
    return faster(arms["bn_baseline"], arms[f"bn_x5{suffix}"], target(arms[BASELINE]), times=HALF)


def c35(arms: Arms, suffix: str) -> str:
    """BN-x30 is slower at first than BN-x5, and higher at the end.

    Holds if the interval of the ratio of their steps to the target lies above 1 (the paper's 2.7M to 2.1M) and that of
    the difference of their maxima above 0; fails if either lies on the other side.
    """
    x5, x30 = arms[f"bn_x5{suffix}"], arms[f"bn_x30{suffix}"]
    return every(faster(x30, x5, target(arms[BASELINE])), verdict(gain(x5, x30), 0.0, above=True))


def c36(arms: Arms, suffix: str) -> str:
    """At five times the rate Inception without BN diverges: with every seed holds, with none fails."""
    return by_count([record.diverged for record in arms["inception_x5"]])


def c37(arms: Arms, suffix: str) -> str:
    """BN-x5-Sigmoid learns, and its maximum is within a few points of BN-x5's.

    Fails if no seed learns; else by the interval of the difference of the maxima against -`FEW_POINTS`.
    """
    relu, sigmoid = arms[f"bn_x5{suffix}"], arms[f"bn_x5_sigmoid{suffix}"]
    learns = by_count([not (record.diverged or at_chance(record)) for record in sigmoid])
    return every(learns, verdict(gain(relu, sigmoid), -FEW_POINTS, above=True))


def c38(arms: Arms, suffix: str) -> str:
    """Inception with sigmoids and without BN never leaves chance: with every seed holds, with none fails."""
    return by_count([at_chance(record) for record in arms["inception_sigmoid"]])


CLAIMS: dict[str, tuple[Callable[[Arms, str], str], tuple[str, ...]]] = {  # the rule, and what it needs
    "C33": (c33, REQUIRED),
    "C34": (c34, (*REQUIRED, "bn_x5*")),  # *: of a reading
    "C35": (c35, (BASELINE, "bn_x5*", "bn_x30*")),
    "C36": (c36, ("inception_x5",)),
    "C37": (c37, ("bn_x5*", "bn_x5_sigmoid*")),
    "C38": (c38, ("inception_sigmoid",)),
}


def readings(claim: str) -> tuple[str, ...]:
    """The suffixes of the readings that a claim is judged in; one where both have the same arms."""
    return ("", EQUAL) if any("*" in name for name in CLAIMS[claim][1]) else ("",)


def judge(claim: str, arms: Arms, suffix: str = "") -> str:
    """``holds``, ``fails`` or ``inconclusive``; ``untested`` where an arm is missing."""
    rule, needed = CLAIMS[claim]
    return rule(arms, suffix) if all(name.replace("*", suffix) in arms for name in needed) else UNTESTED
