"""The ledger as committed: complete, made by the commands that it names, and following from the records."""

import functools
import itertools
import json
import shlex

import pytest
import yaml

from bnrepro.analysis.claims import ledger, table
from bnrepro.analysis.claims.definitions import load_claims
from bnrepro.analysis.claims.judge import Judged
from bnrepro.analysis.claims.rules import VERDICTS
from bnrepro.cli import report
from bnrepro.records.identity import group_hash
from conftest import CONFIGS, ROOT, config_of
from fake_claims import EXPERIMENT, GAIN, definitions, part_of, two_arms

RESULTS = ROOT / "results"
FINGERPRINTS = {  # of the data sets that the committed records were made on
    name: json.loads(next(RESULTS.glob(f"claims/{experiment}/mini/runs/*/status.json")).read_text())["data_fingerprint"]
    for name, experiment in (("mnist", "inside"), ("tiny_imagenet", "x5"))
}


def test_the_committed_ledger_is_complete_and_reaches_everything():
    rows = json.loads((RESULTS / "claims.json").read_text())
    assert [row["id"] for row in rows] == list(load_claims(CONFIGS / "claims")) and {
        row["verdict"] for row in rows
    } <= set(VERDICTS)
    page = (RESULTS / "claims.md").read_text()
    runs = {path.name for path in RESULTS.glob("**/runs/*")}
    for row in rows:
        assert (ROOT / row["rule"]).is_file() and f"### {row['id']}\n" in page
        assert all((ROOT / folder).is_dir() for folder in row["records"]), row["id"]
        assert set(row["runs"]) <= runs
        if table.plotted(row):
            assert (RESULTS / table.PLOTS / f"{row['id']}.png").is_file()
        for part in row["ours"]:
            if part["family"] == "directional" and part["verdict"] in ("holds", "fails"):
                assert part["n"] >= 3 and part["q"] <= 0.05 and len(part["values"]) == part["n"] and part["runs"]
    assert table.update_readme((ROOT / "README.md").read_text(), rows) == (ROOT / "README.md").read_text()


@pytest.mark.parametrize("claim", ["C05", "C10", "C13", "C15", "C21", "C26", "C29", "C31", "C34", "C42", "C36", "C45"])
def test_the_commands_of_a_claim_make_the_runs_that_it_is_judged_on(claim):
    """Each line of the ledger, composed and named, gives configurations of runs that are there, and together all."""
    (row,) = [row for row in json.loads((RESULTS / "claims.json").read_text()) if row["id"] == claim]
    lines = [line for line in row["commands"] if "scripts/train.py" in line]
    reported = any(part["family"] == "reported" for part in row["ours"])
    made, named = set(), {run.rsplit("-", 1)[1] for run in row["runs"]}
    for line in lines:
        if "experiment=claims/" not in line and not reported:  # of records that were there, as they were made
            named -= {run.rsplit("-", 1)[1] for run in row["runs"] if run.startswith(("tune_", "plain-", "bn-"))}
            continue
        words = [word.split("=", 1) for word in shlex.split(line)[4:]]
        keys, values = [key for key, _ in words], [_split(v) for _, v in words]
        for chosen in itertools.product(*values):
            overrides = [f"{key}={v}" for key, v in zip(keys, chosen, strict=True)]
            made.add(_hash(tuple(o for o in overrides if not o.startswith("seed="))))
    assert made == named


def _split(values: str) -> list[str]:
    return [values] if values.startswith("[") else values.split(",")


@functools.cache
def _hash(overrides: tuple[str, ...]) -> str:
    config = config_of(*overrides)
    return group_hash(config, FINGERPRINTS[config.data.name])


def test_verdicts_of_parts_and_readings_are_joined(tmp_path):
    together, over = ledger.together, ledger._over_readings
    assert together(["holds", "inconclusive"]) == "inconclusive" and together(["holds", "fails", "untested"]) == "fails"
    claims = load_claims(CONFIGS / "claims")
    claim, contradicted = claims["C02"], claims["C25"]
    assert over(["holds", "fails"], claim) == "contested" and over(["holds", "untested"], claim) == "inconclusive"
    assert over(["holds", "inconclusive"], claim) == "inconclusive" and over([], claim) == "untested"
    assert over(["holds"], contradicted) == "contested" and over(["fails"], contradicted) == "fails"
    part = part_of(tmp_path)
    check = part_of(tmp_path, check=True)
    sound, unsound = Judged(check, verdict="holds"), Judged(check, verdict="fails")
    assert ledger._reading([Judged(part, verdict="holds"), sound]) == "holds"
    assert ledger._reading([Judged(part, verdict="holds"), unsound]) == "inconclusive"


def test_a_verdict_follows_the_records_and_not_a_list(tmp_path):
    """One changed accuracy turns a claim: the ledger is not a table of words."""
    worse, better = [0.5, 0.52, 0.51], [0.9, 0.91, 0.92]
    for name, plain, bn, expected in (("a", worse, better, "holds"), ("b", better, worse, "fails")):
        results = tmp_path / name / "results"
        two_arms(results, plain, bn)
        (results / "claims").mkdir()
        (results / ledger.IDENTITIES).write_text('{"numbers": {}}')
        rules = definitions(tmp_path / name / "configs" / "claims", {"seeds": 3, "parts": [GAIN]})
        where = {EXPERIMENT: {"records": EXPERIMENT, "base": {"norm.name": "bn"}, "command": "known"}}
        (rules / "experiments.yaml").write_text(yaml.safe_dump(where))
        assert report.main(["claims", "--results", str(results)]) == 0
        row = json.loads((results / "claims.json").read_text())[0]
        assert row["verdict"] == expected and row["n"] == 3 and len(row["runs"]) == 6
        assert (results / table.PLOTS / "C01.png").stat().st_size > 1000


def test_a_time_is_judged_by_the_interval_over_its_repetitions(tmp_path):
    """Its mean is above the edge, and some of its interval is not."""
    rules = tmp_path / "configs" / "claims"
    part = {"what": "time", "number": "time", "is": "ratio", "unit": "times", "at_least": 10}
    definitions(rules, {"parts": [part]})
    (rules / "experiments.yaml").write_text("{}")
    timed = {"n": 3, "low": 9.0, "high": 16.0, "sd_of_logs": 0.1, "values": [11.0, 12.0, 13.0]}
    timed |= {"processor": "a processor", "threads": 1}
    (tmp_path / "claims").mkdir()

    def judged(intervals: dict) -> dict:
        identities = {"numbers": {"C01": {"time": 12.0}}, "intervals": intervals}
        (tmp_path / ledger.IDENTITIES).write_text(json.dumps(identities))
        return ledger.build(tmp_path, rules).rows[0]

    row = judged({"C01": {"time": timed}})
    (part,) = row["ours"]
    assert row["verdict"] == "inconclusive" and judged({})["verdict"] == "holds"
    assert (part["n"], part["interval"], part["family"], row["n"]) == (3, [9.0, 16.0], "timed", 3)
    assert part["note"] == "3 repetitions on one a processor, threads: 1" and part["q"] is None


def test_the_ledger_says_what_it_lacks(tmp_path, capsys):
    assert report.main(["claims", "--results", str(tmp_path / "results")]) == 2
    assert "error:" in capsys.readouterr().err
    assert report.main(["claims", "--records", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "committed records alone" in capsys.readouterr().err


def test_a_claims_line_shows_what_was_measured_over_seeds_and_no_p_without_a_spread():
    exact = {"verdict": "holds", "n": 1, "what": "an exact number", "family": "fdr"}
    measured = exact | {"n": 5, "what": "a mean over seeds", "q": 0.04, "interval": [1.0, 2.0]}
    row = {"verdict": "holds", "ours": [exact, measured]}
    assert table.deciding_parts(row) == [measured] and table.deciding_parts(row | {"ours": [exact]}) == [exact]
    assert table._adjusted(measured) == "0.04" and table._adjusted(exact) == ""
    assert table._adjusted(measured | {"q": 0.0, "interval": [4.0, 4.0]}) == "none: no spread"
