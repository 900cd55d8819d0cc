"""Endpoints: what the report of a figure measured for a claim, one for each thing that has to hold.

The report gives each endpoint a verdict by its own rule. The ledger then adjusts the p-values of all endpoints of all
figures together (Holm 1979), and an endpoint that is no longer significant becomes inconclusive. An endpoint without
a p-value, such as a count of runs, keeps its verdict, and its note says why it has none.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bnrepro.analysis.reading.statistics import LEVEL, Estimate, holm

SIGNIFICANT = 1 - LEVEL


@dataclass
class Endpoint:
    """One measured quantity of a claim, and its verdict.

    Args:
        what: the quantity in words.
        verdict: holds, fails or inconclusive.
        estimate: the value and its interval, which is the one that the figure's table prints.
        p: the p-value before adjustment.
        unit: a key of `bnrepro.analysis.claims.rules.UNITS`.
        kind: ratio, difference or value.
        note: why there is no p-value, or why the verdict is not that of the interval.
        q: the adjusted p-value, which the ledger sets.
    """

    what: str
    verdict: str
    estimate: Estimate | None = None
    p: float | None = None
    unit: str = "number"
    kind: str = "value"
    note: str = ""
    q: float | None = None


def together(verdicts: Iterable[str]) -> str:
    """Return the verdict on a claim whose parts must all hold."""
    present = set(verdicts)
    return next((worst for worst in ("fails", "untested", "contested", "inconclusive") if worst in present), "holds")


def adjust(endpoints: Iterable[Endpoint]) -> None:
    """Set the adjusted p-value of every endpoint that has a p-value, and the verdict that follows from it."""
    tested = [endpoint for endpoint in endpoints if endpoint.p is not None]
    for endpoint, q in zip(tested, holm([endpoint.p for endpoint in tested]), strict=True):
        endpoint.q = float(q)
        if q > SIGNIFICANT and endpoint.verdict != "inconclusive":
            endpoint.note, endpoint.verdict = blocked(endpoint.verdict), "inconclusive"


def blocked(verdict: str) -> str:
    """Return the note on a quantity that is significant alone, but not once its p-value is adjusted."""
    return f"by its interval alone it {verdict}; the adjusted p decides"
