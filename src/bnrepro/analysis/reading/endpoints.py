"""How a figure's report hands what it measured to the ledger: as endpoints, which are judged together.

A figure judges its claims by rules of its own. For each claim and reading it gives the ledger a list of `Endpoint`, one
for each thing that has to hold: what it is, the verdict that the figure's rule gives it, and, where there are any, the
estimate with its interval and the p-value before any adjustment (`analysis.reading.statistics.p_value`, or a test of
the figure's own). The ledger adjusts the p-values of all endpoints of all figures together (Holm 1979). An endpoint
that holds or fails by itself, and is not significant once adjusted, is inconclusive.

The interval is the one that the figure's own table prints: a number has one interval wherever it is shown. Where there
is no p-value, as of a censored time or a count of runs, ``note`` says why, and the ledger says so, too; its verdict is
then the figure's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bnrepro.analysis.reading.statistics import LEVEL, Estimate, holm

SIGNIFICANT = 1 - LEVEL


@dataclass
class Endpoint:
    """One thing that a figure measured for a claim, and its verdict.

    ``unit`` and ``kind`` are as in the rules of claims: a key of `bnrepro.analysis.claims.rules.UNITS`, and one of
    ratio, difference and value. ``q``, the adjusted p-value, is the ledger's to give.
    """

    what: str
    verdict: str  # holds, fails or inconclusive, by the figure's rule; after `adjust` by the adjusted p-value, too
    estimate: Estimate | None = None
    p: float | None = None
    unit: str = "number"
    kind: str = "value"
    note: str = ""
    q: float | None = None


def together(verdicts: Iterable[str]) -> str:
    """The verdict on things that must all hold."""
    present = set(verdicts)
    return next((worst for worst in ("fails", "untested", "contested", "inconclusive") if worst in present), "holds")


def adjust(endpoints: Iterable[Endpoint]) -> None:
    """Give every endpoint of the figures that has a p-value its adjusted one, and the verdict that goes with it."""
    tested = [endpoint for endpoint in endpoints if endpoint.p is not None]
    for endpoint, q in zip(tested, holm([endpoint.p for endpoint in tested]), strict=True):
        endpoint.q = float(q)
        if q > SIGNIFICANT and endpoint.verdict != "inconclusive":
            endpoint.note, endpoint.verdict = blocked(endpoint.verdict), "inconclusive"


def blocked(verdict: str) -> str:
    """What to say of something that is significant by itself, and is not once its p-value is adjusted."""
    return f"by its interval alone it {verdict}; the adjusted p decides"
