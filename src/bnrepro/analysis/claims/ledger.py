"""The ledger: every claim with its verdict and everything that the verdict follows from, as plain data."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from bnrepro.analysis.claims.arms import Records
from bnrepro.analysis.claims.commands import commands
from bnrepro.analysis.claims.definitions import SCALE, load_claims, load_experiments
from bnrepro.analysis.claims.judge import Judged, judge_part, minutes_for, seeds_to_decide
from bnrepro.analysis.claims.reported import HOMES, reported, training
from bnrepro.analysis.claims.rules import Claim, Part
from bnrepro.analysis.reading.endpoints import Endpoint, adjust, together
from bnrepro.analysis.reading.statistics import Estimate, holm
from bnrepro.errors import UserError
from bnrepro.records.files import read_json

IDENTITIES = Path("claims") / "identities.json"
Row = dict[str, Any]


class Ledger(NamedTuple):
    """One row for each claim, in order, the judged parts of each claim, and the records of the experiments."""

    rows: list[Row]
    judged: dict[str, list[Judged]]
    records: Records


def build(results: Path, definitions: Path, source: Path | str | None = None, scale: str = SCALE) -> Ledger:
    """Judge every claim by the folder of its definitions, on the folder of committed results.

    The records of the claims' own experiments are read from ``source`` if there is one (see `reading.load.records_of`),
    and at this scale. The p-values of the figures' endpoints are adjusted by Holm (1979), and those of all other parts
    by Benjamini & Hochberg (1995).
    """
    claims, experiments = load_claims(definitions), load_experiments(definitions, scale)
    if not (results / IDENTITIES).is_file():
        raise UserError(f"no {results / IDENTITIES}; run: python scripts/identities.py")
    identities = read_json(results / IDENTITIES)
    records = Records(source or results, experiments)
    judged: dict[str, list[Judged]] = {name: [] for name in claims}
    for name, claim in claims.items():
        for part in claim.parts:
            if part.report:
                judged[name] += reported(part.report, name, results)
            else:
                judged[name].append(_exact(name, part, identities) if part.number else judge_part(records, part))
    everything = [part for parts in judged.values() for part in parts]
    adjust([endpoint for part in everything for endpoint in part.endpoints], holm)
    adjust(everything, stats.false_discovery_control)
    for part in everything:
        if part.endpoints:
            part.verdict = together(endpoint.verdict for endpoint in part.endpoints)
    rows: dict[str, Row] = {}
    for name in sorted(claims, key=lambda name: bool(claims[name].all_of)):  # a claim comes after those it follows from
        rows[name] = _row(claims[name], judged[name], rows, records)
    return Ledger([rows[name] for name in claims], judged, records)


def _exact(claim: str, part: Part, identities: dict[str, Any]) -> Judged:
    """Judge a number of the identities by itself, or a ratio of times by its interval over repetitions."""
    number = identities["numbers"].get(claim, {}).get(part.number)
    if number is None:
        raise UserError(f"{IDENTITIES} has no {part.number} of {claim}; run: python scripts/identities.py")
    timed = identities.get("intervals", {}).get(claim, {}).get(part.number)
    if timed is None:
        return Judged(part, verdict=part.rule.judge(number, number), number=number, n=1)
    estimate = Estimate(number, timed["sd_of_logs"], timed["low"], timed["high"], timed["n"])
    verdict = part.rule.judge(estimate.low, estimate.high)
    note = f"{timed['n']} repetitions on one {timed['processor']}, threads: {timed['threads']}"
    return Judged(part, verdict=verdict, estimate=estimate, values=timed["values"], number=number, note=note)


def _reading(parts: list[Judged]) -> str:
    """Return the verdict of a reading. A check that does not hold makes it inconclusive, unless it is untested."""
    verdict = together(judged.verdict for judged in parts if not judged.part.check)
    checked = all(judged.verdict == "holds" for judged in parts if judged.part.check)
    return verdict if checked or verdict == "untested" else "inconclusive"


def _over_readings(verdicts: list[str], claim: Claim) -> str:
    """Return the verdict of several readings: ``contested`` if they contradict each other, or if the literature does.

    A reading that is untested leaves a claim inconclusive that has other readings.
    """
    different = set(verdicts)
    if {"holds", "fails"} <= different:
        return "contested"
    verdict = different.pop() if len(different) == 1 else "inconclusive" if different else "untested"
    return "contested" if verdict == "holds" and claim.literature["stance"] == "contradicts" else verdict


def _row(claim: Claim, judged: list[Judged], rows: dict[str, Row], records: Records) -> Row:
    parts = list(map(_part, judged))
    names = dict.fromkeys(part.part.reading for part in judged)
    readings = {name: _reading([part for part in judged if part.part.reading == name]) for name in names}
    if claim.text:
        verdict = claim.text
    elif claim.all_of:
        verdict = together(rows[name]["verdict"] for name in claim.all_of)
    else:
        verdict = _over_readings(list(readings.values()), claim)
    figures = list(dict.fromkeys(part.report for part in claim.parts if part.report))
    folders = [records.experiments[name].records for name in claim.experiments] + [HOMES[name] for name in figures]
    lines = commands(claim.parts, records) + [line for figure in figures for line in training(figure, judged)]
    if any(part.number for part in claim.parts):
        lines.append("python scripts/identities.py")
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
        "test": next(({"is": how, "why": why} for how, why in claim.test.items()), None),
        "follows_from": claim.all_of,
        "literature": claim.literature,
        "rule": f"configs/claims/{claim.id}.yaml",
        "commands": lines,
        "records": [f"results/{folder}" for folder in folders],
        "runs": sorted({run for part in parts for run in part["runs"]}),
    }


def _rounded(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _statistics(estimate: Estimate, p: float | None, q: float | None) -> Row:
    return {
        "n": estimate.n,
        "value": _rounded(estimate.mean),
        "interval": [_rounded(estimate.low), _rounded(estimate.high)],
        "p": _rounded(p, 3),
        "q": _rounded(q, 3),
    }


def _part(judged: Judged) -> Row:
    part, estimate = judged.part, judged.estimate
    row: Row = {
        "what": part.what,
        "reading": part.reading,
        "rule": judged.rule or part.rule.text(part.unit),
        "is": part.kind,
        "unit": part.unit,
        "family": "reported" if part.report else "directional" if part.experiment else "timed" if estimate else "exact",
        "verdict": judged.verdict,
        "n": judged.n,
        "value": _rounded(judged.value),
        "runs": sorted({record.path.name for record in judged.records}),
    }
    if part.report:
        row["endpoints"] = list(map(_endpoint, judged.endpoints))
    if part.check:
        row["check"] = True
    if estimate:
        row |= _statistics(estimate, judged.p, judged.q) | {"values": [_rounded(value) for value in judged.values]}
    if part.experiment and estimate:
        row["seeds"] = judged.seeds
        if judged.verdict == "inconclusive":
            row["n_to_decide"] = enough = seeds_to_decide(judged)
            if enough:
                row["minutes_to_decide"] = round(minutes_for(judged, enough))
    if judged.note:
        row["note"] = judged.note
    return row


def _endpoint(endpoint: Endpoint) -> Row:
    row: Row = {
        "what": endpoint.quantity,
        "is": {"times": "ratio", "points": "difference"}.get(endpoint.unit, "value"),
        "unit": endpoint.unit,
        "verdict": endpoint.verdict,
        "note": endpoint.note,
        "family": "headline",
    }
    if endpoint.estimate is None:
        return row | {"value": None, "p": None, "q": None}
    return row | _statistics(endpoint.estimate, endpoint.p, endpoint.q)
