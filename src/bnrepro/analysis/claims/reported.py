"""The claims that a figure's own report judges, C31 to C38, C45 and C46: readings, verdicts, numbers and records."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from bnrepro.analysis import figure1, figure1_table, figure2, figure2_claims, figure2_verdicts, figure4, figure4_table
from bnrepro.analysis.claims.commands import commands_of
from bnrepro.analysis.load import Record, by_variant, load_records

HOMES = {"figure1": "figure1/paper", "figure2": "figure2/laptop", "figure4": "figure4/laptop"}


class Reported(NamedTuple):
    """One reading of a claim."""

    reading: str
    verdict: str
    ours: str
    rule: str
    n: int
    records: list[Record]


@cache
def _arms1(results: Path) -> dict[str, list[Record]]:
    return by_variant(load_records(results / HOMES["figure1"] / "runs"), "plain", "bn")


@cache
def _arms2(results: Path) -> dict[str, list[Record]]:
    found = load_records(results / HOMES["figure2"] / "runs")
    present = {record.variant for record in found}
    return by_variant(found, *(name for name in figure2.VARIANTS if name in present), figure="figure2")


def _figure1(claim: str, results: Path) -> list[Reported]:
    arms = _arms1(results)
    plain, bn = arms["plain"], arms["bn"]
    verdict, ours = figure1.verdicts(plain, bn)[claim], figure1_table.ours(plain, bn)[claim]
    return [Reported("", verdict, ours, figure1_table.RULES[claim], min(len(plain), len(bn)), [*plain, *bn])]


def _figure2(claim: str, results: Path) -> list[Reported]:
    arms, found = _arms2(results), []
    suffixes = figure2_verdicts.readings(claim)
    for suffix in suffixes:
        verdict = figure2_verdicts.judge(claim, arms, suffix)
        used = [arms.get(name.replace("*", suffix), []) for name in figure2_verdicts.CLAIMS[claim][1]]
        reading = figure2_claims.WORDS[suffix] if len(suffixes) > 1 else ""
        ours = "" if verdict == figure2_verdicts.UNTESTED else figure2_claims.ours(claim, arms, suffix)
        rule = figure2_claims.RULES[claim]
        found.append(Reported(reading, verdict, ours, rule, min(map(len, used)), [one for arm in used for one in arm]))
    return found


def _figure4(claim: str, results: Path) -> list[Reported]:
    home = results / HOMES["figure4"]
    found = figure4.load_evaluation(home)
    records = [record for record in load_records(home / "runs") if record.path.name in found.info["runs"]]
    ours, rule = figure4_table.ours(found)[claim], figure4_table.RULES[claim]
    return [Reported("", figure4.verdicts(found)[claim], ours, rule, found.count, records)]


_FIGURES = {"figure1": _figure1, "figure2": _figure2, "figure4": _figure4}


def reported(figure: str, claim: str, results: Path) -> list[Reported]:
    """What a figure's report says of a claim, a reading at a time."""
    return _FIGURES[figure](claim, results)


def training(figure: str, found: list[Reported]) -> list[str]:
    """The commands that make the records which a claim of a figure is judged on."""
    records = [record for one in found for record in one.records]
    scale = HOMES[figure].split("/")[-1]
    if figure == "figure4":  # its networks differ in their seeds as well
        return [*commands_of(records, scale, seeds=False), "python scripts/evaluate.py"]
    return commands_of(records, scale)
