"""The paper's claims about Figures 2 and 3: what the paper says, the rule, and the endpoints that were measured.

The rules are docs/figure2-rules.md in code. A claim that is judged with beta at 0 and at 1 has a reading for each.
"""

from collections.abc import Callable
from typing import NamedTuple

from scipy import stats

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure2 import BASELINE, BETA1, CONTROLS, EQUAL, SIGMOIDS
from bnrepro.analysis.reading.endpoints import Endpoint
from bnrepro.analysis.reading.load import Arms, Record
from bnrepro.analysis.reading.statistics import geometric, p_value, verdict
from bnrepro.analysis.render.table import ClaimName, Table
from bnrepro.analysis.render.text import interval

BETAS = {"": "beta starts at 0", BETA1: "beta starts at 1"}
MARGIN = 0.05  # C37's "a few points"; the paper's are 3.2
TIMES = 2.0  # C34's "far fewer"; the paper's are 14


class Claim(NamedTuple):
    """What the paper says of it, by which rule it holds, the arms it needs (``*``: beta), and its endpoints."""

    said: str
    rule: str
    needs: tuple[str, ...]
    endpoints: Callable[[Arms, str], list[Endpoint]]

    @property
    def betas(self) -> tuple[str, ...]:
        """The readings: one for each beta, or one."""
        return tuple(BETAS) if any("*" in name for name in self.needs) else ("",)

    def arms(self, beta: str) -> list[str]:
        """The variants that a reading needs."""
        return [name.replace("*", beta) for name in self.needs]


def _complete(arms: Arms, endpoint: Endpoint, *variants: str) -> Endpoint:
    """Without a verdict while an arm lacks seeds that the rule asks for."""
    lacking = [
        f"{figure2.title(name)} has {len(arms[name])} of {figure2.SEEDS_WANTED} seeds"
        for name in variants
        if len(arms[name]) < figure2.SEEDS_WANTED
    ]
    if lacking:
        endpoint.verdict, endpoint.p, endpoint.note = "inconclusive", None, "no verdict yet: " + "; ".join(lacking)
    return endpoint


def fewer(arms: Arms, slow: str, fast: str, times: float = 1.0) -> Endpoint:
    """Steps of a slow arm to the target over those of a fast one, to be above ``times``.

    A lower bound cannot fail, an upper bound cannot hold.
    """
    measured = figure2.speed_up(arms[slow], arms[fast], figure2.target(arms[BASELINE]))
    estimate = geometric(measured.ratios)
    judged = verdict(estimate, times, above=True)
    if (judged == "fails" and measured.slow_censored) or (judged == "holds" and measured.fast_censored):
        judged = "inconclusive"
    note = f"a bound ({measured.sign.strip()}): not every seed gets to the target" if measured.sign else ""
    what = f"steps of {figure2.title(slow)} over those of {figure2.title(fast)}"
    p = p_value(estimate, times, ratio=True)
    return _complete(arms, Endpoint(what, judged, estimate, p, "times", "ratio", note=note), slow, fast)


def higher(arms: Arms, low: str, high: str) -> Endpoint:
    """Final accuracy of one arm minus that of another, to be above 0."""
    estimate = figure2.gain(arms[low], arms[high])
    what = f"final accuracy of {figure2.title(high)} minus that of {figure2.title(low)}"
    judged = verdict(estimate, 0.0, above=True)
    return _complete(arms, Endpoint(what, judged, estimate, p_value(estimate, 0.0), "points", "difference"), low, high)


def alike(arms: Arms, one: str, other: str, margin: float = MARGIN) -> Endpoint:
    """Final accuracy of one arm minus that of another, to be within a margin on either side.

    p is the larger of two one-sided ones (two one-sided tests). Where the estimate lies beyond the margin it is the
    two-sided one against the nearer edge.
    """
    estimate = figure2.gain(arms[one], arms[other])
    outside = abs(estimate.mean) > margin
    p = p_value(estimate, -margin, margin)
    if p is not None and not outside:
        error = estimate.sd / estimate.n**0.5
        p = float(stats.t.sf((margin - abs(estimate.mean)) / error, estimate.n - 1)) if error else 0.0
    beyond = estimate.low > margin or estimate.high < -margin
    judged = "fails" if beyond else "holds" if not outside and p is not None and p <= 0.05 else "inconclusive"
    what = f"final accuracy of {figure2.title(other)} minus that of {figure2.title(one)}"
    return _complete(arms, Endpoint(what, judged, estimate, p, "points", "difference"), one, other)


def counted(
    arms: Arms, what: str, variants: tuple[str, ...], happens: Callable[[Record], bool], fails: bool
) -> Endpoint:
    """Something that has to happen in every run; ``fails`` says whether its absence makes the claim fail."""
    happened = [happens(record) for name in variants for record in arms[name]]
    judged = "holds" if all(happened) else "fails" if fails else "inconclusive"
    note = f"{sum(happened)} of {len(happened)} runs; a count has no p-value"
    return _complete(arms, Endpoint(what, judged, note=note), *variants)


def dead(record: Record) -> bool:
    """Whether a network cannot be trained: not finite, or at chance."""
    return record.diverged or figure2.at_chance(record)


def best_control(arms: Arms) -> str:
    """The network with all changes but BN at the best of its rates, by mean final accuracy."""
    return max((name for name in CONTROLS if name in arms), key=lambda name: figure2.finals(arms[name]).mean())


def _c33(arms: Arms, beta: str) -> list[Endpoint]:
    bn = f"bn_baseline{beta}"
    return [fewer(arms, BASELINE, bn), higher(arms, BASELINE, bn)]


def _c34(arms: Arms, beta: str) -> list[Endpoint]:
    x5, control = f"bn_x5{beta}{EQUAL}", best_control(arms)
    if all(map(dead, arms[control])):
        alone = Endpoint("all changes but BN: no seed learns at any rate", "holds", note="a count has no p-value")
        return [fewer(arms, BASELINE, x5, TIMES), _complete(arms, alone, control)]
    return [fewer(arms, BASELINE, x5, TIMES), fewer(arms, control, x5)]


def _c35(arms: Arms, beta: str) -> list[Endpoint]:
    x5, x30 = f"bn_x5{beta}{EQUAL}", f"bn_x30{beta}{EQUAL}"
    return [fewer(arms, x30, x5), higher(arms, x5, x30)]


def _c36(arms: Arms, beta: str) -> list[Endpoint]:
    can = not any(map(dead, arms["inception_x5"]))
    return [counted(arms, f"Inception at x5: {figure2.outcomes(arms['inception_x5'])}", ("inception_x5",), dead, can)]


def _c37(arms: Arms, beta: str) -> list[Endpoint]:
    return [alike(arms, "bn_x5_equal", "bn_x5_sigmoid_equal")]


def _c38(arms: Arms, beta: str) -> list[Endpoint]:
    learnt = [name for name in SIGMOIDS if not any(map(dead, arms[name]))]
    return [counted(arms, "Inception with sigmoids stays at chance", SIGMOIDS, dead, bool(learnt))]


CLAIMS = {
    "C33": Claim(
        "BN alone: as good as Inception in 43 % of the steps (2.3 times fewer), and 0.5 points higher in the end",
        "ratio above 1 and difference above 0",
        (BASELINE, "bn_baseline*"),
        _c33,
    ),
    "C34": Claim(
        "BN-x5: 14 times fewer steps than Inception, and 0.8 points higher in the end",
        f"first ratio above {TIMES:g} and second above 1",
        (BASELINE, "bn_x5*_equal", CONTROLS[0]),
        _c34,
    ),
    "C35": Claim(
        "BN-x30: slower at first than BN-x5 (2.7M to 2.1M steps), and 1.8 points higher in the end",
        "ratio above 1 and difference above 0",
        (BASELINE, "bn_x5*_equal", "bn_x30*_equal"),
        _c35,
    ),
    "C36": Claim(
        "Inception at 5 times the rate: its parameters reach machine infinity",
        "no seed can be trained; fails if every seed can",
        ("inception_x5",),
        _c36,
    ),
    "C37": Claim(
        "BN-x5-Sigmoid: 69.8 %, 3.2 points below BN-x5",
        f"difference within ±{100 * MARGIN:g} points",
        ("bn_x5_equal", "bn_x5_sigmoid_equal"),
        _c37,
    ),
    "C38": Claim(
        "Inception with sigmoids and without BN: never better than chance",
        "every run of every cell stays at chance; fails if in some cell every seed learns",
        SIGMOIDS,
        _c38,
    ),
}


def endpoints(name: str, arms: Arms, beta: str = "") -> list[Endpoint]:
    """What a reading of a claim is judged on; empty where an arm is missing or the baseline does not learn."""
    claim = CLAIMS[name]
    if not all(variant in arms for variant in claim.arms(beta)):
        return []
    if BASELINE in claim.needs and any(map(dead, arms[BASELINE])):
        return []
    return claim.endpoints(arms, beta)


def words(endpoint: Endpoint) -> str:
    """An endpoint with its number and interval."""
    if endpoint.estimate is None:
        return f"{endpoint.what} ({endpoint.note})"
    bound = next((sign + " " for sign in "≥≤?" if endpoint.note.startswith(f"a bound ({sign}")), "")
    number = (
        f"{interval(endpoint.estimate, 100, 2, '+')} points"
        if endpoint.unit == "points"
        else f"{bound}{interval(endpoint.estimate)}"
    )
    return f"{endpoint.what}: {number}"


def claims_table(arms: Arms) -> Table:
    """One row per claim and reading; the verdicts, whose p-values are adjusted over all figures, are the ledger's."""
    rows = []
    for name, claim in CLAIMS.items():
        for beta in claim.betas:
            reading = f"{name}, {BETAS[beta]}" if len(claim.betas) > 1 else name
            measured = endpoints(name, arms, beta)
            rows.append(
                [ClaimName(reading), claim.said, "; ".join(map(words, measured)) or "not measured yet", claim.rule]
            )
    return Table(["claim", "the paper says", "ours", "holds if"], rows)
