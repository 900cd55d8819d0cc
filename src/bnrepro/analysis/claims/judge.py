"""Judge the parts of claims: from the records of arms to an estimate, and from an estimate and a rule to a verdict."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from bnrepro.analysis.claims.arms import Records
from bnrepro.analysis.claims.measures import across, cells, measure, records_of_arm, varied
from bnrepro.analysis.claims.rules import Part
from bnrepro.analysis.reading.endpoints import SIGNIFICANT, Endpoint
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate, distance, geometric, p_value

LARGEST_RATIO = 1e6  # stands for a ratio that a diverged run makes infinite
MOST_SEEDS = 1000  # a larger number of seeds that would decide is not named


@dataclass
class Judged:
    """A part with its estimate over seeds, its exact number or the endpoints of a figure's report, and the verdict."""

    part: Part
    verdict: str = "untested"
    estimate: Estimate | None = None
    values: list[float] = field(default_factory=list)  # one for each seed; the estimate is of their mean
    number: float | None = None
    p: float | None = None  # two-sided, for the hypothesis that the mean lies on the rule's nearest edge
    q: float | None = None  # p adjusted for all parts that are judged together
    n: int = 0
    seeds: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    rule: str = ""  # of a report, in words
    note: str = ""

    @property
    def value(self) -> float | None:
        """The mean, or the exact number; None if there is none or it is not finite."""
        value = self.estimate.mean if self.estimate else self.number
        return value if value is not None and np.isfinite(value) else None


def _seed_values(records: Records, part: Part, overrides: dict[str, Any]) -> tuple[dict[int, float], list[Record]]:
    """Return one number for each seed of an arm, and the arm's records."""
    arm_records = records_of_arm(records, part, overrides)
    if varied(part.measure):
        numbers = across(cells(arm_records, part.measure), part.measure)
    else:
        numbers = {record.seed: measure(record, part.measure) for record in arm_records}
    known = {seed: number for seed, number in numbers.items() if not np.isnan(number)}
    return known, arm_records


def judge_part(records: Records, part: Part) -> Judged:
    """Estimate a part from the seeds that all its arms have, and judge it by its interval.

    It is untested without a seed, and inconclusive with fewer seeds than its rule asks for. The verdict stands only
    once the p-values of all parts are adjusted together: see `analysis.reading.endpoints.adjust`.
    """
    arms, records_by_arm = zip(*(_seed_values(records, part, part.arms[name]) for name in part.weights), strict=True)
    used = list(itertools.chain(*records_by_arm))
    seeds = sorted(set.intersection(*map(set, arms)))
    if not seeds:
        return Judged(part, records=used)
    table = np.array([[arm[seed] for seed in seeds] for arm in arms])
    weights = np.array(list(part.weights.values()))
    note = ""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.exp(weights @ np.log(table)) if part.ratio else weights @ table
        if part.ratio and not ((values > 0) & np.isfinite(values)).all():
            values = np.clip(values, 1 / LARGEST_RATIO, LARGEST_RATIO)
            note = f"a diverged run counts as a ratio of {LARGEST_RATIO:g}"
        if lost := int((~np.isfinite(values)).sum()):
            note = f"no mean: {lost} of {len(seeds)} seeds have no finite value"
        estimate = geometric(values) if part.ratio else Estimate.of(values)
    if estimate.sd == 0:
        note = "all seeds are equal, so that the interval has no width"
    p = p_value(estimate, *part.rule.edges, ratio=part.ratio)
    verdict = "inconclusive" if p is None else part.rule.judge(estimate.low, estimate.high)
    if len(seeds) < part.seeds:
        verdict, note = "inconclusive", f"{len(seeds)} of {part.seeds} seeds"
    return Judged(part, verdict, estimate, values.tolist(), p=p, seeds=seeds, records=used, note=note)


def seeds_to_decide(judged: Judged) -> int | None:
    """Return how many seeds would decide, if mean, spread and q / p stay as they are; None for over 1,000.

    With that many the interval, at the level that the adjustment leaves of 5 %, excludes the nearest edge.
    """
    estimate, part = judged.estimate, judged.part
    if judged.p is None or not estimate.sd > 0:
        return None
    away = distance(estimate, *part.rule.edges, ratio=part.ratio)
    n = np.arange(max(2, part.seeds), MOST_SEEDS + 1)
    level = SIGNIFICANT * (judged.p / judged.q if judged.q else 1)
    enough = 2 * stats.t.sf(away / (estimate.sd / np.sqrt(n)), n - 1) <= level
    return int(n[enough][0]) if enough.any() else None


def minutes_for(judged: Judged, seeds: int) -> float:
    """Return the minutes on one core that the runs of so many seeds take, by the mean time of the runs that there are.

    A seed needs a run of each arm, or of each cell of an arm's ladder. Of ``best`` it needs only the chosen cell.
    """
    spec, status = judged.part.measure, [record.status for record in judged.records if record.seed in judged.seeds]
    runs = len(judged.part.weights) * (spec["cells"] if varied(spec) and "best" not in spec else 1)
    return seeds * runs * float(np.mean([run["seconds"] / run["stacked_with"] for run in status])) / 60
