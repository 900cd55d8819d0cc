"""The ledger: every claim with its verdict and everything that the verdict follows from, as plain data."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from bnrepro.analysis.claims.arms import Records
from bnrepro.analysis.claims.commands import commands
from bnrepro.analysis.claims.definitions import SCALE, load_claims, load_experiments
from bnrepro.analysis.claims.judge import Judged, decide, gather, holds, seeds_to_decide
from bnrepro.analysis.claims.reported import HOMES, Reported, reported, training
from bnrepro.analysis.claims.rules import Claim, Part
from bnrepro.analysis.reading.endpoints import Endpoint, together
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.errors import UserError
from bnrepro.records.files import read_json

IDENTITIES = Path("claims") / "identities.json"
Row = dict[str, Any]


class Ledger(NamedTuple):
    """One row a claim, in order, and the judged parts of each."""

    rows: list[Row]
    judged: dict[str, list[Judged]]


def build(results: Path, definitions: Path, source: Path | str | None = None, scale: str = SCALE) -> Ledger:
    """Every claim, judged.

    Args:
        results: the folder of committed records.
        definitions: the folder of the claims' rules.
        source: take the records of the claims' own experiments from there; see `analysis.reading.load.records_of`.
        scale: of these experiments.

    Raises:
        UserError: a definition is wrong, or what the exact claims need is not there.
    """
    claims, experiments = load_claims(definitions), load_experiments(definitions, scale)
    if not (results / IDENTITIES).is_file():
        raise UserError(f"no {results / IDENTITIES}; run: python scripts/identities.py")
    identities = read_json(results / IDENTITIES)
    records = Records(source or results, experiments)
    judged: dict[str, list[Judged]] = {}
    reports: dict[str, list[Reported]] = {}
    for name, claim in claims.items():
        judged[name] = [_judge(name, part, records, identities) for part in claim.parts if not part.report]
        reports[name] = [
            reading for part in claim.parts if part.report for reading in reported(part.report, name, results)
        ]
    parts = [part for of_claim in judged.values() for part in of_claim]
    endpoints = [endpoint for of_claim in reports.values() for reading in of_claim for endpoint in reading.endpoints]
    decide(parts, endpoints)
    rows: dict[str, Row] = {}
    for claim in sorted(claims.values(), key=lambda claim: bool(claim.all_of)):
        rows[claim.id] = _row(claim, judged[claim.id], reports[claim.id], rows, records)
    return Ledger([rows[name] for name in claims], judged)


def _judge(claim: str, part: Part, records: Records, identities: dict[str, Any]) -> Judged:
    return _exact(claim, part, identities) if part.number else gather(records, part)


def _exact(claim: str, part: Part, identities: dict[str, Any]) -> Judged:
    """A number of the exact claims; or a time, which is judged by the interval over its repetitions."""
    number = identities["numbers"].get(claim, {}).get(part.number)
    if number is None:
        raise UserError(f"{IDENTITIES} has no {part.number} of {claim}; run: python scripts/identities.py")
    timed = identities.get("intervals", {}).get(claim, {}).get(part.number)
    if timed is None:
        return Judged(part, verdict=holds(part.rule, number, number), number=number)
    estimate = Estimate(number, timed["sd_of_logs"], timed["low"], timed["high"], timed["n"])
    verdict = holds(part.rule, estimate.low, estimate.high)
    note = f"{timed['n']} repetitions on one {timed['processor']}, threads: {timed['threads']}"
    return Judged(part, verdict=verdict, estimate=estimate, values=timed["values"], number=number, note=note)


def _reading(parts: list[Judged]) -> str:
    """The verdict of one reading, which is inconclusive if its check does not hold."""
    claimed = together([judged.verdict for judged in parts if not judged.part.check])
    checked = all(judged.verdict == "holds" for judged in parts if judged.part.check)
    return claimed if checked or claimed == "untested" else "inconclusive"


def _over_readings(verdicts: list[str], claim: Claim) -> str:
    """One verdict of several readings: ``contested`` if two contradict each other, or the literature contradicts us."""
    tested = {verdict for verdict in verdicts if verdict != "untested"}
    if not tested:
        return "untested"
    if {"holds", "fails"} <= tested:
        return "contested"
    verdict = tested.pop() if len(tested) == 1 else "inconclusive"
    return "contested" if verdict == "holds" and claim.stance == "contradicts" else verdict


def _row(claim: Claim, judged: list[Judged], reports: list[Reported], rows: dict[str, Row], records: Records) -> Row:
    parts = [*map(_part, judged), *map(_reported, reports)]
    by_reading: dict[str, list[Judged]] = {}
    for part in judged:
        by_reading.setdefault(part.part.reading, []).append(part)
    readings = {name: _reading(of_reading) for name, of_reading in by_reading.items()}
    readings |= {report.reading: report.verdict for report in reports}
    if claim.text:
        verdict = claim.text
    elif claim.all_of:
        verdict = together([rows[name]["verdict"] for name in claim.all_of])
    else:
        verdict = _over_readings(list(readings.values()), claim)
    figures = [part.report for part in claim.parts if part.report]
    folders = [records.experiments[name].records for name in claim.experiments] + [HOMES[name] for name in figures]
    return {
        "id": claim.id,
        "place": claim.place,
        "claim": claim.claim,
        "paper": claim.paper,
        "measurement": claim.measurement,
        "scale": sorted({folder.split("/")[-1] for folder in folders}) or (["exact"] if claim.parts else []),
        "readings": readings,
        "ours": parts,
        "n": max((part["n"] for part in parts), default=0),
        "verdict": verdict,
        "untested": claim.untested,
        "kind": claim.kind,
        "test": {"is": claim.test, "why": claim.why} if claim.test else None,
        "follows_from": claim.all_of,
        "literature": {"stance": claim.stance, "says": claim.says},
        "rule": f"configs/claims/{claim.id}.yaml",
        "commands": _commands(claim, reports, records),
        "records": [f"results/{folder}" for folder in folders],
        "runs": sorted({run for part in parts for run in part["runs"]}),
    }


def _commands(claim: Claim, reports: list[Reported], records: Records) -> list[str]:
    """The commands that make everything that a claim is judged on."""
    lines = commands(claim.parts, records.experiments, records)
    for figure in dict.fromkeys(part.report for part in claim.parts if part.report):
        lines += training(figure, reports)
    return lines + (["python scripts/identities.py"] if any(part.number for part in claim.parts) else [])


def _number(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _measured(estimate: Estimate, p: float | None, q: float | None) -> Row:
    return {
        "n": estimate.n,
        "value": _number(estimate.mean),
        "interval": [_number(estimate.low), _number(estimate.high)],
        "p": _number(p, 3),
        "q": _number(q, 3),
    }


def _part(judged: Judged) -> Row:
    part, estimate = judged.part, judged.estimate
    row: Row = {
        "what": part.what,
        "reading": part.reading,
        "rule": part.rule.text(part.unit),
        "is": part.kind,
        "unit": part.unit,
        "family": "directional" if part.experiment else "timed" if estimate else "exact",
        "verdict": judged.verdict,
        "n": 1 if part.number else 0,
        "value": _number(judged.value),
        "runs": judged.runs,
    }
    if part.check:
        row["check"] = True
    if estimate:
        row |= _measured(estimate, judged.p, judged.q) | {"values": [_number(value) for value in judged.values]}
    if part.experiment and estimate:
        row["seeds"] = judged.seeds
        if judged.verdict == "inconclusive":
            row["n_to_decide"] = seeds_to_decide(judged)
    if judged.note:
        row["note"] = judged.note
    return row


def _reported(report: Reported) -> Row:
    return {
        "what": report.ours,
        "reading": report.reading,
        "rule": report.rule,
        "is": "value",
        "unit": "number",
        "family": "reported",
        "verdict": report.verdict,
        "n": report.n,
        "value": None,
        "runs": sorted({record.path.name for record in report.records}),
        "endpoints": [_endpoint(endpoint) for endpoint in report.endpoints],
    }


def _endpoint(endpoint: Endpoint) -> Row:
    row: Row = {
        "what": endpoint.what,
        "is": endpoint.kind,
        "unit": endpoint.unit,
        "verdict": endpoint.verdict,
        "note": endpoint.note,
        "family": "headline",
    }
    if endpoint.estimate is None:
        return row | {"value": None, "p": None, "q": None}
    return row | _measured(endpoint.estimate, endpoint.p, endpoint.q)
