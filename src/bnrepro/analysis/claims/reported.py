"""The claims that the reports of Figure 2 (C33 to C38) and Figure 4 (C45, C46) judge, by docs/figure2-rules.md."""

from functools import cache
from pathlib import Path
from typing import Any

from bnrepro.analysis.claims.commands import commands_of
from bnrepro.analysis.claims.judge import Judged
from bnrepro.analysis.claims.rules import Part
from bnrepro.analysis.figures import figure2_claims, figure4, figure4_table
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.reading.endpoints import Endpoint, above
from bnrepro.errors import UserError, suggest


@cache
def _contents(figure: str, results: Path) -> Any:
    """Return what the committed figure is drawn from."""
    return FIGURES[figure].contents(results=results)


def _figure2(name: str, results: Path) -> list[Judged]:
    (arms,), claim = _contents("figure2", results), figure2_claims.CLAIMS[name]
    readings = []
    for beta in claim.betas:
        used = [arms.get(variant, []) for variant in claim.arms(beta)]
        endpoints = figure2_claims.endpoints(name, arms, beta)
        ours = "; ".join(map(figure2_claims.words, endpoints))
        reading = figure2_claims.BETAS[beta] if len(claim.betas) > 1 else ""
        records = [record for arm in used for record in arm]
        part = Part(ours, reading, report="figure2")
        n = min(map(len, used))
        readings.append(Judged(part, rule=claim.rule, n=n, records=records, endpoints=endpoints))
    return readings


def _figure4_endpoints(claim: str, evaluation: figure4.Evaluation) -> list[Endpoint]:
    if claim == "C45":
        gains = {"crops": figure4.crops_gain(evaluation), "networks": figure4.ensemble_gain(evaluation)}
        return [above(name, gain, "points") for name, gain in gains.items()]
    best_network = above("best network minus all", figure4.best_gain(evaluation), "points")
    wrong = evaluation.each_wrong(figure4.CLAIMED_CROPS)
    best_network.p = figure4.mcnemar(wrong[wrong.mean(1).argmin()], evaluation.all_wrong(figure4.CLAIMED_CROPS))
    return [best_network]


def _figure4(claim: str, results: Path) -> list[Judged]:
    evaluation, records = _contents("figure4", results)
    rule = figure4_table.RULES[claim]
    if any(record.config["training"]["steps_multiplier"] != 1 for record in records):  # the rule asks for full runs
        return [Judged(Part(report="figure4"), rule=rule)]
    part = Part(figure4_table.ours(evaluation)[claim], report="figure4")
    endpoints = _figure4_endpoints(claim, evaluation)
    return [Judged(part, rule=rule, n=evaluation.count, records=records, endpoints=endpoints)]


_REPORTS = {"figure2": (_figure2, tuple(figure2_claims.CLAIMS)), "figure4": (_figure4, ("C45", "C46"))}
HOMES = {name: f"{name}/{FIGURES[name].scale}" for name in _REPORTS}  # of their records, below results/


def reported(figure: str, claim: str, results: Path) -> list[Judged]:
    """Return the readings of a claim that a figure's report judges."""
    if figure not in _REPORTS:
        raise UserError(f"{claim}: no report {figure} judges claims; {suggest(figure, _REPORTS)}")
    read, claims = _REPORTS[figure]
    if claim not in claims:
        raise UserError(f"{claim}: the report {figure} does not judge it; it judges {', '.join(claims)}")
    return read(claim, results)


def training(figure: str, readings: list[Judged]) -> list[str]:
    """Return the commands that make the records that these readings are judged on."""
    records = [record for reading in readings for record in reading.records]
    scale = HOMES[figure].split("/")[-1]
    if figure == "figure4":  # each of its networks has the seed that its experiment names
        return [*commands_of(records, scale, seeds=False), "python scripts/evaluate.py"]
    return commands_of(records, scale)
