"""Endpoints: what the report of a figure measured for a claim, one for each thing that has to hold.

The report gives each endpoint a verdict by its own rule. The ledger then adjusts the p-values of all endpoints of all
figures together (Holm 1979), and an endpoint that is no longer significant becomes inconclusive. An endpoint without
a p-value, such as a count of runs, keeps its verdict, and its note says why it has none.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bnrepro.analysis.reading.statistics import LEVEL, Estimate, p_value

SIGNIFICANT = 1 - LEVEL


@dataclass
class Endpoint:
    """One measured quantity of a claim, and its verdict.

    Args:
        quantity: what was measured, in words.
        verdict: holds, fails or inconclusive.
        estimate: the value and its interval, which is the one that the figure's table prints.
        p: the p-value before adjustment.
        unit: times for a ratio, points for a difference of accuracies, or number.
        bound: the sign of a value that is only a bound: ≥, ≤, or ? if it is both.
        note: why there is no p-value, or why the verdict is not that of the interval.
        q: the adjusted p-value, which the ledger sets.
    """

    quantity: str
    verdict: str
    estimate: Estimate | None = None
    p: float | None = None
    unit: str = "number"
    bound: str = ""
    note: str = ""
    q: float | None = None


def above(quantity: str, estimate: Estimate, unit: str, edge: float = 0.0) -> Endpoint:
    """Judge whether a quantity is above an edge; the logarithm of a ratio is tested."""
    verdict = "holds" if estimate.low > edge else "fails" if estimate.high < edge else "inconclusive"
    return Endpoint(quantity, verdict, estimate, p_value(estimate, edge, ratio=unit == "times"), unit)


def together(verdicts: Iterable[str]) -> str:
    """Return the verdict on a claim whose parts must all hold."""
    present = set(verdicts)
    return next((worst for worst in ("fails", "untested", "contested", "inconclusive") if worst in present), "holds")


def adjust(family: Iterable[Any], correction: Callable[[list[float]], Sequence[float]]) -> None:
    """Adjust the p-values of a family, and make inconclusive what is significant alone but not in the family.

    Args:
        family: endpoints, or parts of claims. Those without a p-value stay as they are.
        correction: the adjusted p-values of a list of p-values, in the same order.
    """
    tested = [judged for judged in family if judged.p is not None]
    adjusted = correction([judged.p for judged in tested]) if tested else []
    for judged, q in zip(tested, adjusted, strict=True):
        judged.q = float(q)
        if judged.q > SIGNIFICANT and judged.verdict != "inconclusive":
            judged.note = f"by its interval alone it {judged.verdict}; the adjusted p decides"
            judged.verdict = "inconclusive"
