"""The claims that a figure's own report judges, C33 to C38, C45 and C46: readings, endpoints, numbers and records."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from bnrepro.analysis.claims.commands import commands_of
from bnrepro.analysis.claims.readings import ENDPOINTS
from bnrepro.analysis.figures import figure2, figure2_claims, figure4, figure4_table
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.reading.endpoints import Endpoint, together
from bnrepro.analysis.reading.load import Record, by_variant, load_records
from bnrepro.errors import UserError, suggest

HOMES = {name: f"{name}/{FIGURES[name].scale}" for name in ENDPOINTS}


class Reported(NamedTuple):
    """One reading of a claim: what was measured in words, by which rule it is judged, and the endpoints judged."""

    reading: str
    ours: str
    rule: str
    n: int
    records: list[Record]
    endpoints: list[Endpoint]  # none: untested

    @property
    def verdict(self) -> str:
        """All endpoints together, as they stand."""
        return together(endpoint.verdict for endpoint in self.endpoints) if self.endpoints else "untested"


@cache
def _arms2(results: Path) -> dict[str, list[Record]]:
    records = load_records(results / HOMES["figure2"] / "runs")
    present = {record.variant for record in records}
    return by_variant(records, *(name for name in figure2.VARIANTS if name in present), figure="figure2")


def _figure2(name: str, results: Path) -> list[Reported]:
    arms, claim, readings = _arms2(results), figure2_claims.CLAIMS[name], []
    for beta in claim.betas:
        used = [arms.get(variant, []) for variant in claim.arms(beta)]
        endpoints = ENDPOINTS["figure2"][name](arms, beta)
        ours = "; ".join(map(figure2_claims.words, endpoints))
        reading = figure2_claims.BETAS[beta] if len(claim.betas) > 1 else ""
        records = [record for arm in used for record in arm]
        readings.append(Reported(reading, ours, claim.rule, min(map(len, used)), records, endpoints))
    return readings


def _figure4(claim: str, results: Path) -> list[Reported]:
    home = results / HOMES["figure4"]
    evaluation = figure4.load_evaluation(home)
    records = [record for record in load_records(home / "runs") if record.path.name in evaluation.info["runs"]]
    rule = figure4_table.RULES[claim]
    if any(record.config["training"]["steps_multiplier"] != 1 for record in records):  # the rule asks for all of T
        return [Reported("", "", rule, 0, [], [])]
    ours = figure4_table.ours(evaluation)[claim]
    return [Reported("", ours, rule, evaluation.count, records, ENDPOINTS["figure4"][claim](evaluation))]


_FIGURES = {"figure2": _figure2, "figure4": _figure4}


def reported(figure: str, claim: str, results: Path) -> list[Reported]:
    """What a figure's report says of a claim, a reading at a time.

    Raises:
        UserError: there is no such report, or it judges no such claim.
    """
    if figure not in ENDPOINTS:
        raise UserError(f"{claim}: no report {figure} judges claims; {suggest(figure, ENDPOINTS)}")
    if claim not in ENDPOINTS[figure]:
        raise UserError(f"{claim}: the report {figure} does not judge it; it judges {', '.join(ENDPOINTS[figure])}")
    return _FIGURES[figure](claim, results)


def training(figure: str, readings: list[Reported]) -> list[str]:
    """The commands that make the records which a claim of a figure is judged on."""
    records = [record for reading in readings for record in reading.records]
    scale = HOMES[figure].split("/")[-1]
    if figure == "figure4":  # its networks differ in their seeds as well
        return [*commands_of(records, scale, seeds=False), "python scripts/evaluate.py"]
    return commands_of(records, scale)
