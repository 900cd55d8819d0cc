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
        source: take the records of the claims' own experiments from there; see `analysis.reading.sources.records`.
        scale: of these experiments.

    Raises:
        UserError: a definition is wrong, or what the exact claims need is not there.
    """
    claims, experiments = load_claims(definitions), load_experiments(definitions, scale)
    if not (results / IDENTITIES).is_file():
        raise UserError(f"no {results / IDENTITIES}; run: python scripts/identities.py")
    identities = read_json(results / IDENTITIES)
    records = Records(source or results, experiments)
    found = {
        name: [_judge(name, part, records, identities, results) for part in claim.parts]
        for name, claim in claims.items()
    }
    judged = {name: [one for one in parts if isinstance(one, Judged)] for name, parts in found.items()}
    readings = [one for parts in found.values() for group in parts if not isinstance(group, Judged) for one in group]
    decide((one for parts in judged.values() for one in parts), (e for one in readings for e in one.endpoints))
    rows: dict[str, Row] = {}
    for claim in sorted(claims.values(), key=lambda one: bool(one.all_of)):
        rows[claim.id] = _row(claim, found[claim.id], rows, records)
    return Ledger([rows[name] for name in claims], judged)


def _judge(
    claim: str, part: Part, records: Records, identities: dict[str, Any], results: Path
) -> Judged | list[Reported]:
    if part.report:
        return reported(part.report, claim, results)
    if part.number:
        return _exact(claim, part, identities)
    return gather(records, part)


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
    """Of one reading: nothing if its check does not hold."""
    claimed = together([one.verdict for one in parts if not one.part.check])
    sound = all(one.verdict == "holds" for one in parts if one.part.check)
    return claimed if sound or claimed == "untested" else "inconclusive"


def _over_readings(verdicts: list[str], claim: Claim) -> str:
    """One verdict of several readings: ``contested`` if they contradict each other, or the literature what we found."""
    tested = {verdict for verdict in verdicts if verdict != "untested"}
    if not tested:
        return "untested"
    if {"holds", "fails"} <= tested or "contested" in tested:
        return "contested"
    found = next(iter(tested)) if len(tested) == 1 else "inconclusive" if "inconclusive" in tested else "holds"
    return "contested" if found == "holds" and claim.stance == "contradicts" else found


def _row(claim: Claim, found: list[Judged | list[Reported]], rows: dict[str, Row], records: Records) -> Row:
    experiments = records.experiments
    parts = [part for one in found for part in ([_part(one)] if isinstance(one, Judged) else map(_reported, one))]
    by_reading: dict[str, list[Judged]] = {}
    for one in found:
        if isinstance(one, Judged):
            by_reading.setdefault(one.part.reading, []).append(one)
    readings = {name: _reading(group) for name, group in by_reading.items()}
    readings |= {one.reading: one.verdict for group in found if not isinstance(group, Judged) for one in group}
    if claim.text:
        verdict = claim.text
    elif claim.all_of:
        verdict = together([rows[name]["verdict"] for name in claim.all_of])
    else:
        verdict = _over_readings(list(readings.values()), claim)
    reports = [part.report for part in claim.parts if part.report]
    folders = [experiments[name].records for name in claim.experiments] + [HOMES[name] for name in reports]
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
        "follows_from": claim.all_of,
        "literature": {"stance": claim.stance, "says": claim.says},
        "rule": f"configs/claims/{claim.id}.yaml",
        "commands": _commands(claim, found, records),
        "records": [f"results/{folder}" for folder in folders],
        "runs": sorted({run for part in parts for run in part["runs"]}),
    }


def _commands(claim: Claim, found: list[Judged | list[Reported]], records: Records) -> list[str]:
    """What makes everything that a claim is judged on, a line a command."""
    lines = commands(claim.parts, records.experiments, records)
    for part, one in zip(claim.parts, found, strict=True):
        if not isinstance(one, Judged):
            lines += training(part.report, one)
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


def _part(one: Judged) -> Row:
    part, estimate = one.part, one.estimate
    row: Row = {
        "what": part.what,
        "reading": part.reading,
        "rule": part.rule.text(part.unit),
        "is": part.kind,
        "unit": part.unit,
        "family": "directional" if part.experiment else "timed" if estimate else "exact",
        "verdict": one.verdict,
        "n": 1 if part.number else 0,
        "value": _number(one.value),
        "runs": one.runs,
    }
    if part.check:
        row["check"] = True
    if estimate:
        row |= _measured(estimate, one.p, one.q) | {"values": [_number(value) for value in one.values]}
    if part.experiment and estimate:
        row["seeds"] = one.seeds
        if one.verdict == "inconclusive":
            row["n_to_decide"] = seeds_to_decide(one)
    if one.note:
        row["note"] = one.note
    return row


def _reported(one: Reported) -> Row:
    return {
        "what": one.ours,
        "reading": one.reading,
        "rule": one.rule,
        "is": "value",
        "unit": "number",
        "family": "reported",
        "verdict": one.verdict,
        "n": one.n,
        "value": None,
        "runs": sorted({record.path.name for record in one.records}),
        "endpoints": [_endpoint(endpoint) for endpoint in one.endpoints],
    }


def _endpoint(one: Endpoint) -> Row:
    row = {"what": one.what, "is": one.kind, "unit": one.unit, "verdict": one.verdict, "note": one.note}
    row |= {"family": "headline" if one.headline else "directional"}
    return row | (_measured(one.estimate, one.p, one.q) if one.estimate else {"value": None, "p": None, "q": None})
