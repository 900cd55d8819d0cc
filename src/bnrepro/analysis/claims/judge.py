"""From arms to an estimate, from an estimate and a rule to a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from bnrepro.analysis.claims.arms import Records, value
from bnrepro.analysis.claims.definitions import Part, Rule
from bnrepro.analysis.claims.measures import across, measure, varied
from bnrepro.analysis.statistics import LEVEL, Estimate

SIGNIFICANT = 1 - LEVEL
ENDLESS = 1e6  # stands for a ratio that a diverged run makes infinite
MOST_SEEDS = 1000  # that are worth naming as what would decide


@dataclass
class Judged:
    """A part with what was found: the estimate over seeds, or the exact number, and the verdict."""

    part: Part
    verdict: str = "untested"
    estimate: Estimate | None = None
    values: list[float] = field(default_factory=list)  # a number a seed, whose mean is the estimate's
    number: float | None = None
    p: float | None = None  # two-sided, that the statistic lies on the rule's edge
    q: float | None = None  # adjusted within the family of directional parts
    seeds: list[int] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    note: str = ""


def _seed_values(records: Records, part: Part, overrides: dict[str, Any]) -> tuple[dict[int, float], list[str]]:
    """A number a seed of one arm, and the runs that it is from."""
    spec = part.measure
    key = varied(spec)
    if not key:
        found = records.arm(part.experiment, overrides)
        return {r.seed: measure(r, spec) for r in found}, [r.path.name for r in found]
    found = records.arm(part.experiment, overrides, varied=key)
    cells: dict[Any, dict[int, float]] = {}
    for record in found:
        cells.setdefault(value(record.config, key), {})[record.seed] = measure(record, spec["of"])
    return across(cells, spec), [r.path.name for r in found]


def gather(records: Records, part: Part) -> Judged:
    """What the arms of a part gave, paired by seed; without an estimate where an arm has no record."""
    arms = {name: _seed_values(records, part, part.arms[name]) for name in part.weights}
    runs = sorted({run for _, names in arms.values() for run in names})
    measured = [{seed for seed, number in values.items() if not np.isnan(number)} for values, _ in arms.values()]
    seeds = sorted(set.intersection(*measured))
    if not seeds:
        return Judged(part, runs=runs)
    table = np.array([[arms[name][0][seed] for seed in seeds] for name in part.weights])
    weights = np.array(list(part.weights.values()))
    with np.errstate(divide="ignore", invalid="ignore"):
        combined = weights @ np.log(table) if part.ratio else weights @ table
    note = ""
    if part.ratio and np.isinf(combined).any():
        combined = np.clip(combined, -np.log(ENDLESS), np.log(ENDLESS))
        note = f"a diverged run counts as a ratio of {ENDLESS:g}"
    values = np.exp(combined) if part.ratio else combined
    return Judged(
        part,
        estimate=_estimate(combined, part),
        values=values.tolist(),
        p=_p(combined, part),
        seeds=seeds,
        runs=runs,
        note=note,
    )


def _estimate(values: np.ndarray, part: Part) -> Estimate:
    """Mean and interval over seeds; back from logarithms if it is a ratio (its sd stays that of the logarithms)."""
    found = Estimate.of(values)
    if part.ratio:
        mean, low, high = (float(np.exp(v)) for v in (found.mean, found.low, found.high))
        found = Estimate(mean, found.sd, low, high, found.n)
    return found


def _p(values: np.ndarray, part: Part) -> float | None:
    """Two-sided, against the rule's edge; of ``within``, the larger of the two one-sided ones (TOST)."""
    rule, n = part.rule, len(values)
    if n < 2 or not np.isfinite(values).all():
        return None
    edges = np.log(rule.edges) if part.ratio else np.array(rule.edges)
    sd = values.std(ddof=1)
    distances = [abs(values.mean() - edge) for edge in edges]
    if sd == 0:
        return float(min(distances) == 0)
    tails = [float(stats.t.sf(distance / (sd / n**0.5), n - 1)) for distance in distances]
    return max(tails) if rule.bound == "within" else 2 * tails[0]


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


def decide(found: Iterable[Judged]) -> None:
    """Give every part with an estimate its adjusted p-value (Benjamini & Hochberg 1995) and its verdict.

    The parts given are one family. A part holds, or fails, if its whole interval lies on one side of the edge and its
    adjusted p-value is at most 5 %; with fewer seeds than its rule asks for it is inconclusive.
    """
    tested = [judged for judged in found if judged.estimate is not None]
    known = [judged for judged in tested if judged.p is not None]
    if known:
        for judged, q in zip(known, stats.false_discovery_control([j.p for j in known]), strict=True):
            judged.q = float(q)
    for judged in tested:
        estimate = judged.estimate
        judged.verdict = "inconclusive"
        if estimate.n < judged.part.seeds:
            judged.note = f"{estimate.n} of {judged.part.seeds} seeds"
        elif judged.q is not None and judged.q <= SIGNIFICANT:
            judged.verdict = holds(judged.part.rule, estimate.low, estimate.high)


def seeds_to_decide(judged: Judged) -> int | None:
    """How many seeds would put the interval on one side of the edge, if mean and spread stay; None beyond 1,000."""
    estimate, rule = judged.estimate, judged.part.rule
    if estimate is None or estimate.n < 2 or not estimate.sd > 0 or not isinstance(rule.value, float):
        return None
    edge, mean = rule.value, estimate.mean
    if rule.bound == "within":
        distance = abs(edge - abs(mean))
    else:
        distance = abs(np.log(mean / edge)) if judged.part.ratio else abs(mean - edge)
    n = np.arange(2, MOST_SEEDS + 1)
    enough = stats.t.ppf((1 + LEVEL) / 2, n - 1) * estimate.sd / np.sqrt(n) < distance
    return int(n[enough][0]) if enough.any() else None
