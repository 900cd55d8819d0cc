"""The paper's claims about Figures 2 and 3: what the paper says, the rule, and the measured endpoints.

The rules are those of docs/figure2-rules.md. Some claims are judged twice, with beta at 0 and with beta at 1.
"""

from collections.abc import Callable
from typing import NamedTuple

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure2 import BASELINE, BETA1, CONTROLS, EQUAL_BUDGET, SIGMOIDS, untrainable
from bnrepro.analysis.reading.curves import finals
from bnrepro.analysis.reading.endpoints import SIGNIFICANT, Endpoint, above
from bnrepro.analysis.reading.load import Arms
from bnrepro.analysis.reading.statistics import geometric, p_value
from bnrepro.analysis.render.table import Table
from bnrepro.analysis.render.text import OVER_SEEDS, interval

BETAS = {"": "beta starts at 0", BETA1: "beta starts at 1"}
MARGIN = 0.05  # C37's "a few points"; the paper's difference is 3.2 points
TIMES = 2.0  # C34's "far fewer"; the paper's ratio is 14


class Claim(NamedTuple):
    """A claim: what the paper says, the rule, the arms it needs (``*`` stands for beta), and its endpoints."""

    paper_says: str
    rule: str
    needs: tuple[str, ...]
    endpoints: Callable[[Arms, str], list[Endpoint]]

    @property
    def betas(self) -> tuple[str, ...]:
        """The readings: one for each beta, or one."""
        return tuple(BETAS) if any("*" in name for name in self.needs) else ("",)

    def arms(self, beta: str) -> list[str]:
        """Return the variants that a reading needs."""
        return [name.replace("*", beta) for name in self.needs]


def _withhold_without_all_seeds(arms: Arms, endpoint: Endpoint, *variants: str) -> Endpoint:
    """Withhold the verdict while an arm, or the pairs of two arms, lack seeds that the rule asks for."""
    wanted = figure2.SEEDS_WANTED
    incomplete = [
        f"{figure2.title(name)} has {len(arms[name])} of {wanted} seeds"
        for name in variants
        if len(arms[name]) < wanted
    ]
    if not incomplete and endpoint.estimate and endpoint.estimate.n < wanted:
        incomplete = [f"the arms share {endpoint.estimate.n} of {wanted} seeds"]
    if incomplete:
        endpoint.verdict, endpoint.p = "inconclusive", None
        endpoint.note = "; ".join(filter(None, (endpoint.note, f"no verdict yet: {', '.join(incomplete)}")))
    return endpoint


def fewer(arms: Arms, slow: str, fast: str, times: float = 1.0) -> Endpoint:
    """Judge whether a slow arm takes more than ``times`` as many steps to the target as a fast arm.

    A lower bound cannot fail, and an upper bound cannot hold.
    """
    ratios, bound = figure2.speed_up(arms[slow], arms[fast], figure2.target(arms[BASELINE]))
    quantity = f"steps of {figure2.title(slow)} over those of {figure2.title(fast)}"
    endpoint = above(quantity, geometric(ratios), "times", times)
    endpoint.bound = bound
    if bound == "?" or (bound, endpoint.verdict) in (("≥", "fails"), ("≤", "holds")):
        endpoint.verdict = "inconclusive"
    if bound:
        endpoint.note = f"a bound ({bound}): not every seed gets to the target"
    return _withhold_without_all_seeds(arms, endpoint, slow, fast)


def _difference(low: str, high: str) -> str:
    return f"final accuracy of {figure2.title(high)} minus that of {figure2.title(low)}"


def higher(arms: Arms, low: str, high: str) -> Endpoint:
    """Judge whether one arm ends more accurate than another."""
    endpoint = above(_difference(low, high), figure2.gain(arms[low], arms[high]), "points")
    return _withhold_without_all_seeds(arms, endpoint, low, high)


def alike(arms: Arms, low: str, high: str) -> Endpoint:
    """Judge whether the final accuracies of two arms differ by at most `MARGIN`.

    p is the larger one of two one-sided tests (TOST). If the estimate is beyond the margin, p is two-sided and against
    the nearer edge.
    """
    estimate = figure2.gain(arms[low], arms[high])
    p = p_value(estimate, -MARGIN, MARGIN)
    inside = p is not None and abs(estimate.mean) <= MARGIN
    if inside:
        p = p / 2
    beyond = estimate.low > MARGIN or estimate.high < -MARGIN
    verdict = "fails" if beyond else "holds" if inside and p <= SIGNIFICANT else "inconclusive"
    endpoint = Endpoint(_difference(low, high), verdict, estimate, p, "points")
    return _withhold_without_all_seeds(arms, endpoint, low, high)


def all_untrainable(arms: Arms, quantity: str, variants: tuple[str, ...]) -> Endpoint:
    """Judge whether no run of some variants can be trained; it fails if every seed of one variant learns."""
    failed = [[untrainable(record) for record in arms[name]] for name in variants]
    everyone, learnt = all(map(all, failed)), not all(map(any, failed))
    judged = "holds" if everyone else "fails" if learnt else "inconclusive"
    note = f"{sum(map(sum, failed))} of {sum(map(len, failed))} runs; a count has no p-value"
    return _withhold_without_all_seeds(arms, Endpoint(quantity, judged, note=note), *variants)


def best_control(arms: Arms) -> str:
    """Return the network with all changes but BN at the best of its rates, by mean final accuracy."""
    return max((name for name in CONTROLS if name in arms), key=lambda name: finals(arms[name]).mean())


def _c34(arms: Arms, beta: str) -> list[Endpoint]:
    x5, control = f"bn_x5{beta}{EQUAL_BUDGET}", best_control(arms)
    if all(map(untrainable, arms[control])):
        alone = Endpoint("all changes but BN: no seed learns at any rate", "holds", note="a count has no p-value")
        return [fewer(arms, BASELINE, x5, TIMES), _withhold_without_all_seeds(arms, alone, control)]
    return [fewer(arms, BASELINE, x5, TIMES), fewer(arms, control, x5)]


def _c35(arms: Arms, beta: str) -> list[Endpoint]:
    x5, x30 = f"bn_x5{beta}{EQUAL_BUDGET}", f"bn_x30{beta}{EQUAL_BUDGET}"
    return [fewer(arms, x30, x5), higher(arms, x5, x30)]


CLAIMS = {
    "C33": Claim(
        "BN alone: as good as Inception in 43 % of the steps (2.3 times fewer), and 0.5 points higher in the end",
        "ratio above 1 and difference above 0",
        (BASELINE, "bn_baseline*"),
        lambda arms, beta: [check(arms, BASELINE, f"bn_baseline{beta}") for check in (fewer, higher)],
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
        lambda arms, _: [
            all_untrainable(arms, f"Inception at x5: {figure2.outcomes(arms['inception_x5'])}", ("inception_x5",))
        ],
    ),
    "C37": Claim(
        "BN-x5-Sigmoid: 69.8 %, 3.2 points below BN-x5",
        f"difference within ±{100 * MARGIN:g} points",
        ("bn_x5_equal", "bn_x5_sigmoid_equal"),
        lambda arms, _: [alike(arms, "bn_x5_equal", "bn_x5_sigmoid_equal")],
    ),
    "C38": Claim(
        "Inception with sigmoids and without BN: never better than chance",
        "every run of every cell stays at chance; fails if in some cell every seed learns",
        SIGMOIDS,
        lambda arms, _: [all_untrainable(arms, "Inception with sigmoids stays at chance", SIGMOIDS)],
    ),
}


def endpoints(name: str, arms: Arms, beta: str = "") -> list[Endpoint]:
    """Return the endpoints of a claim's reading; none if an arm is missing or a seed of the baseline does not learn."""
    claim = CLAIMS[name]
    if not all(variant in arms for variant in claim.arms(beta)):
        return []
    if BASELINE in claim.needs and any(map(untrainable, arms[BASELINE])):
        return []
    return claim.endpoints(arms, beta)


def words(endpoint: Endpoint) -> str:
    """Return an endpoint with its number and interval."""
    if endpoint.estimate is None:
        return f"{endpoint.quantity} ({endpoint.note})"
    if endpoint.unit == "points":
        return f"{endpoint.quantity}: {interval(endpoint.estimate, 100, 2, '+')} points"
    number = interval(endpoint.estimate)
    return f"{endpoint.quantity}: {endpoint.bound} {number}" if endpoint.bound else f"{endpoint.quantity}: {number}"


def claims_table(arms: Arms) -> Table:
    """Tabulate each claim and reading. The verdicts are in the ledger, which adjusts p-values over all figures."""
    rows = []
    for name, claim in CLAIMS.items():
        for beta in claim.betas:
            reading = f"{name}, {BETAS[beta]}" if len(claim.betas) > 1 else name
            measured = "; ".join(map(words, endpoints(name, arms, beta))) or "not measured yet"
            rows.append([reading, claim.paper_says, measured, claim.rule])
    return Table(["claim", "the paper says", f"ours {OVER_SEEDS}", "holds if"], rows)
