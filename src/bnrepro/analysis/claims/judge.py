"""From arms to an estimate, from an estimate and a rule to a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from bnrepro.analysis.claims.arms import Records
from bnrepro.analysis.claims.measures import across, cells, measure, varied
from bnrepro.analysis.claims.rules import Part, Rule
from bnrepro.analysis.reading.endpoints import SIGNIFICANT, Endpoint, adjust, blocked
from bnrepro.analysis.reading.statistics import Estimate, distance, geometric, p_value

ENDLESS = 1e6  # stands for a ratio that a diverged run makes infinite
MOST_SEEDS = 1000  # that are worth naming as what would decide


@dataclass
class Judged:
    """A part with its estimate over seeds, or its exact number, and the verdict."""

    part: Part
    verdict: str = "untested"
    estimate: Estimate | None = None
    values: list[float] = field(default_factory=list)  # one number per seed, whose mean is the estimate's
    number: float | None = None
    p: float | None = None  # two-sided, that the statistic lies on the rule's edge
    q: float | None = None  # adjusted within the family of directional parts
    seeds: list[int] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def value(self) -> float | None:
        """The mean, or the exact number; None where there is none, or it is not finite."""
        value = self.estimate.mean if self.estimate else self.number
        return value if value is not None and np.isfinite(value) else None


def _seed_values(records: Records, part: Part, overrides: dict[str, Any]) -> tuple[dict[int, float], list[str]]:
    """One number per seed of an arm, and the names of the runs that they are from."""
    spec = part.measure
    of_arm = records.arm(part.experiment, overrides, varied=varied(spec))
    names = [record.path.name for record in of_arm]
    if varied(spec):
        return across(cells(of_arm, spec), spec), names
    return {record.seed: measure(record, spec) for record in of_arm}, names


def gather(records: Records, part: Part) -> Judged:
    """A part with its arms' numbers, paired by seed; without an estimate where an arm has no record."""
    arms = {name: _seed_values(records, part, part.arms[name]) for name in part.weights}
    runs = sorted({run for _, names in arms.values() for run in names})
    measured = [{seed for seed, number in values.items() if not np.isnan(number)} for values, _ in arms.values()]
    seeds = sorted(set.intersection(*measured))
    if not seeds:
        return Judged(part, runs=runs)
    table = np.array([[arms[name][0][seed] for seed in seeds] for name in part.weights])
    weights = np.array(list(part.weights.values()))
    note = ""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.exp(weights @ np.log(table)) if part.ratio else weights @ table
    if part.ratio and not ((values > 0) & np.isfinite(values)).all():
        values = np.clip(values, 1 / ENDLESS, ENDLESS)
        note = f"a diverged run counts as a ratio of {ENDLESS:g}"
    if lost := int((~np.isfinite(values)).sum()):
        note = f"no mean: {lost} of {len(seeds)} seeds have no finite value"
    with np.errstate(invalid="ignore"):
        estimate = geometric(values) if part.ratio else Estimate.of(values)
    p = p_value(estimate, *part.rule.edges, ratio=part.ratio)
    return Judged(part, estimate=estimate, values=values.tolist(), p=p, seeds=seeds, runs=runs, note=note)


def holds(rule: Rule, low: float, high: float) -> str:
    """``holds`` if all of the interval [low, high] obeys the rule, ``fails`` if none of it, else ``inconclusive``."""
    edge, *_ = edges = rule.edges
    if rule.bound in ("within", "between", "equals"):
        least, most = edges[0], edges[-1]
        inside, outside = least <= low and high <= most, high < least or low > most
    elif rule.bound in ("above", "at_least"):
        inside = low > edge if rule.bound == "above" else low >= edge
        outside = high < edge
    else:
        inside = high < edge if rule.bound == "below" else high <= edge
        outside = low > edge
    return "holds" if inside else "fails" if outside else "inconclusive"


def decide(parts: Iterable[Judged], endpoints: Iterable[Endpoint] = ()) -> None:
    """Give every part with a p-value, and every endpoint of a figure, its adjusted one and its verdict.

    The parts are one family, adjusted by Benjamini & Hochberg (1995). The endpoints are another, adjusted by Holm: see
    `analysis.reading.endpoints`. A part holds, or fails, if its whole interval lies on one side of the edge and its
    adjusted p-value is at most 5 %; with fewer seeds than its rule asks for it is inconclusive.
    """
    tested = [judged for judged in parts if judged.estimate is not None and not judged.part.number]
    known = [judged for judged in tested if judged.p is not None]
    adjusted = stats.false_discovery_control([judged.p for judged in known]) if known else []
    for judged, q in zip(known, adjusted, strict=True):
        judged.q = float(q)
    adjust(endpoints)
    for judged in tested:
        estimate = judged.estimate
        judged.verdict = "inconclusive"
        if estimate.n < judged.part.seeds:
            judged.note = f"{estimate.n} of {judged.part.seeds} seeds"
        elif judged.q is not None:
            verdict = holds(judged.part.rule, estimate.low, estimate.high)
            if judged.q <= SIGNIFICANT:
                judged.verdict = verdict
            elif verdict != "inconclusive":
                judged.note = blocked(verdict)


def seeds_to_decide(judged: Judged) -> int | None:
    """How many seeds would decide, if mean, spread and what the adjustment makes of p stay; None beyond 1,000.

    With so many the interval lies on one side of the nearest edge at the level that the adjustment leaves of 5 %.
    """
    estimate, part = judged.estimate, judged.part
    if judged.p is None or not estimate.sd > 0:
        return None
    away = distance(estimate, *part.rule.edges, ratio=part.ratio)
    n = np.arange(max(2, part.seeds), MOST_SEEDS + 1)
    left = SIGNIFICANT * (judged.p / judged.q if judged.q else 1)
    enough = 2 * stats.t.sf(away / (estimate.sd / np.sqrt(n)), n - 1) <= left
    return int(n[enough][0]) if enough.any() else None
