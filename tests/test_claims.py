"""The ledger: rules, measures, intervals and verdicts on records whose answers are known; what is committed of it."""

import functools
import itertools
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from bnrepro import report
from bnrepro.analysis.claims import ledger, table
from bnrepro.analysis.claims.arms import Records, value
from bnrepro.analysis.claims.definitions import CLAIMS, VERDICTS, Experiment, Rule, load_claims, load_experiments
from bnrepro.analysis.claims.judge import Judged, decide, gather, holds, seeds_to_decide
from bnrepro.analysis.claims.ledger import together
from bnrepro.analysis.claims.measures import across, measure
from bnrepro.errors import UserError
from bnrepro.records.identity import group_hash
from bnrepro.validation import typed
from conftest import CONFIGS, ROOT, compose_config
from fake_records import write_record

RULES = CONFIGS / "claims"
RESULTS = ROOT / "results"
EXPERIMENT = "known"
FINGERPRINTS = {  # of the data sets that the committed records were made on
    name: json.loads(next(RESULTS.glob(f"claims/{experiment}/mini/runs/*/status.json")).read_text())["data_fingerprint"]
    for name, experiment in (("mnist", "inside"), ("tiny_imagenet", "x5"))
}


def fake(folder: Path, name: str, seed: int, curve: list[tuple[int, float]], norm: str = "bn", lr: float = 1.0, **more):
    """A record of an MNIST run; ``more`` goes into its status, ``probes`` into its arrays."""
    probes = more.pop("probes", {})
    final = {"val/top1": curve[-1][1]} if curve else {}
    status = {"state": "finished", "seed": seed, "variant": "v", "steps": 100, "group": "g", "final": final} | more
    data = {"name": "mnist", "classes": 0, "images_per_class": 0, "pixels": 28, "split": "full"}
    config = {"norm": {"name": norm}, "optimizer": {"base_lr": lr}, "data": data}
    return write_record(folder / f"{name}-s{seed}", status, config, curve, **probes)


def two_arms(folder: Path, plain: list[float], bn: list[float]) -> Records:
    """Records of two arms whose runs end with these accuracies, by seed."""
    runs = folder / EXPERIMENT / "runs"
    for norm, values in (("none", plain), ("bn", bn)):
        for seed, top1 in enumerate(values):
            fake(runs, norm, seed, [(0, 0.0), (100, top1)], norm)
    return Records(folder, {EXPERIMENT: Experiment(EXPERIMENT, EXPERIMENT, {"norm.name": "bn"})})


def part_of(folder: Path, **changes):
    """The one part of a claim that compares two arms."""
    arms = {"bn": {}, "plain": {"norm.name": "none"}}
    raw = {"what": "gain", "experiment": EXPERIMENT, "arms": arms, "measure": {"final": "val/top1"}}
    raw |= {"compare": "bn - plain", "above": 0} | changes
    return load_claims(definitions(folder, {"seeds": 3, "parts": [{k: v for k, v in raw.items() if v is not None}]}))[
        "C01"
    ].parts[0]


def definitions(folder: Path, first: dict) -> Path:
    """A folder of definitions in which C01 is this and all others are settled by a text."""
    usual = {"place": "here", "claim": "c", "measurement": "m", "literature": {"stance": "none", "says": ""}}
    folder.mkdir(parents=True, exist_ok=True)
    for name in CLAIMS:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(usual | (first if name == "C01" else {"text": "fails"})))
    return folder


def test_every_claim_has_a_rule_and_every_rule_records_that_a_command_makes():
    claims, experiments = load_claims(RULES), load_experiments(RULES)
    assert list(claims) == CLAIMS and len(claims) == 58
    assert {path.stem for path in RULES.glob("*.yaml")} == {*CLAIMS, "experiments"}
    for claim in claims.values():
        assert set(claim.experiments) <= set(experiments) and set(claim.all_of) <= set(claims)
        directional = [part for part in claim.parts if part.experiment]
        assert all(part.seeds >= 3 and part.rule for part in directional), claim.id
    for name, found in experiments.items():
        if found.command:
            continue
        assert found.records == f"claims/{name}/mini"
        header = (CONFIGS / "experiment" / "claims" / f"{name}.yaml").read_text().split("figure:")[0]
        using = [claim.id for claim in claims.values() if name in claim.experiments]
        assert all(claim in header for claim in using), (name, using)


OWN = [name for name, found in load_experiments(RULES).items() if not found.command]


@pytest.mark.parametrize("name", OWN)
def test_the_base_of_an_experiment_is_its_configuration(name):
    config = typed(compose_config(f"experiment=claims/{name}", "scale=mini"))
    for key, wanted in load_experiments(RULES)[name].base.items():
        section, field = key.split(".")
        assert getattr(getattr(config, section), field) == wanted, key


def test_the_commands_of_a_claim_make_the_runs_that_it_is_judged_on():
    """Each line of the ledger, composed and named, gives runs that are there, and together all that it names."""
    rows = {row["id"]: row for row in json.loads((RESULTS / "claims.json").read_text())}
    for claim in ("C05", "C10", "C13", "C15", "C21", "C26", "C42"):
        made = set()
        for line in rows[claim]["commands"]:
            if "experiment=claims/" not in line:
                continue
            words = [word.split("=", 1) for word in shlex.split(line)[4:]]
            keys, values = [key for key, _ in words], [_split(v) for _, v in words]
            for chosen in itertools.product(*values):
                overrides = [f"{key}={v}" for key, v in zip(keys, chosen, strict=True)]
                made.add(_hash(tuple(o for o in overrides if not o.startswith("seed="))))
        named = {run.rsplit("-", 1)[1] for run in rows[claim]["runs"] if not run.startswith(("tune_", "plain-", "bn-"))}
        assert made == named, claim


def _split(values: str) -> list[str]:
    return [values] if values.startswith("[") else values.split(",")


@functools.cache
def _hash(overrides: tuple[str, ...]) -> str:
    config = typed(compose_config(*overrides))
    return group_hash(config, FINGERPRINTS[config.data.name])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 1}, "unknown key colour"),
        ({"below": 1}, "needs one of above"),
        ({"above": None}, "needs one of above"),
        ({"number": "n"}, "needs one of number, report and experiment"),
        ({"compare": "bn - sigmoid"}, "compare names sigmoid"),
    ],
)
def test_a_wrong_rule_is_one_line(tmp_path, change, said):
    with pytest.raises(UserError, match=said) as error:
        part_of(tmp_path, **change)
    assert "C01.yaml" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("bound", "edge", "inside", "across_edge", "outside"),
    [
        ("above", 1.0, (1.1, 2), (0.9, 2), (0, 0.9)),
        ("below", 1.0, (0, 0.9), (0.9, 2), (1.1, 2)),
        ("at_least", 2.0, (2, 3), (1.9, 3), (1, 1.9)),
        ("at_most", 2.0, (1, 2), (1, 2.1), (2.1, 3)),
        ("within", 0.5, (-0.4, 0.4), (-0.6, 0.4), (0.6, 0.7)),
        ("between", [1.0, 2.0], (1.2, 1.8), (0.5, 1.5), (2.1, 2.2)),
        ("equals", 2.0, (2, 2), (1, 3), (2.1, 2.1)),
    ],
)
def test_the_whole_interval_must_obey(bound, edge, inside, across_edge, outside):
    rule = Rule(bound, edge)
    assert [holds(rule, *interval) for interval in (inside, across_edge, outside)] == ["holds", "inconclusive", "fails"]
    assert holds(Rule("above", 1.0), 1.0, 2.0) == "inconclusive"  # the edge itself is not beyond it


def test_arms_are_paired_by_seed_and_the_interval_is_students(tmp_path):
    plain, bn = np.array([0.50, 0.60, 0.40, 0.55]), np.array([0.53, 0.62, 0.44, 0.58])
    judged = gather(two_arms(tmp_path, plain.tolist(), bn.tolist()), part_of(tmp_path / "rules"))
    expected = stats.ttest_rel(bn, plain)
    low, high = expected.confidence_interval(0.95)
    assert judged.estimate.mean == pytest.approx((bn - plain).mean())
    assert (judged.estimate.low, judged.estimate.high) == pytest.approx((low, high))
    assert judged.p == pytest.approx(expected.pvalue)
    assert judged.values == pytest.approx((bn - plain).tolist()) and judged.seeds == [0, 1, 2, 3]
    assert len(judged.runs) == 8
    decide([judged])
    assert judged.verdict == "holds"  # arms that overlap, but not within a seed


def test_ratios_are_averaged_as_logarithms_and_contrasts_are_sums(tmp_path):
    records = two_arms(tmp_path, [0.1, 0.2, 0.4], [0.2, 0.4, 0.8])
    ratio = gather(records, part_of(tmp_path / "rules", compare="bn / plain", above=1))
    assert ratio.estimate.mean == pytest.approx(2) and ratio.values == pytest.approx([2, 2, 2])
    contrast = gather(records, part_of(tmp_path / "rules", compare={"bn": 0.5, "plain": -1}))
    assert contrast.values == pytest.approx([0, 0, 0])
    decide([contrast])
    assert contrast.p == 1 and contrast.verdict == "inconclusive"


def test_seeds_that_one_arm_lacks_are_left_out_and_too_few_decide_nothing(tmp_path):
    judged = gather(two_arms(tmp_path, [0.5, 0.5, 0.51], [0.9, 0.91]), part_of(tmp_path / "rules"))
    decide([judged])
    assert judged.seeds == [0, 1] and judged.verdict == "inconclusive" and judged.note == "2 of 3 seeds"
    missing = gather(two_arms(tmp_path / "other", [], [0.9]), part_of(tmp_path / "rules"))
    assert missing.estimate is None and missing.verdict == "untested"


def test_many_tests_make_each_harder_to_pass(tmp_path):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5], [0.53, 0.55, 0.54])
    part = part_of(tmp_path / "rules")
    alone, among = gather(records, part), [gather(records, part) for _ in range(2)]
    decide([alone])
    assert alone.verdict == "holds" and alone.q == pytest.approx(alone.p)
    noise = [Judged(part, estimate=alone.estimate, p=0.9) for _ in range(40)]
    decide([*among, *noise])
    assert among[0].p == alone.p < 0.05 < among[0].q and among[0].verdict == "inconclusive"


def test_the_n_that_would_decide_puts_the_edge_outside_the_interval(tmp_path):
    judged = gather(two_arms(tmp_path, [0.5, 0.5, 0.5], [0.52, 0.47, 0.54]), part_of(tmp_path / "rules"))
    n, mean, sd = seeds_to_decide(judged), judged.estimate.mean, judged.estimate.sd

    def half(n: int) -> float:
        return stats.t.ppf(0.975, n - 1) * sd / n**0.5

    assert half(n) < mean <= half(n - 1)


def test_equivalence_needs_the_interval_on_both_sides(tmp_path):
    close = gather(
        two_arms(tmp_path, [0.5, 0.5, 0.5], [0.501, 0.499, 0.5]), part_of(tmp_path / "r", above=None, within=0.01)
    )
    far = gather(two_arms(tmp_path / "far", [0.5, 0.5, 0.5], [0.53, 0.529, 0.531]), close.part)
    decide([close, far])
    assert (close.verdict, far.verdict) == ("holds", "fails")


def test_measures_on_a_known_run(tmp_path):
    probes = {
        "a/b": np.array([[1.0, 2.0, 4.0], [2.0, np.nan, 16.0]]),
        "a/c": np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]),
    }
    run = fake(tmp_path, "r", 0, [(0, 0.2), (50, 0.8), (100, 0.6)], probes=probes)
    assert measure(run, {"final": "val/top1"}) == 0.6
    assert measure(run, {"highest": "val/top1"}) == 0.8
    assert measure(run, {"area": "val/top1"}) == pytest.approx(0.5 * 0.5 + 0.5 * 0.7)
    known = {
        ("last/first", "last"): 8.0,
        ("mean", "last - first"): 9.0 - 7 / 3,
        ("later", "last"): 16.0,
        ("geometric", "first"): 2.0,
        ("max", "last / first"): 4.0,
    }
    for (sites, at), expected in known.items():
        assert measure(run, {"probe": "a/b", "sites": sites, "at": at}) == pytest.approx(expected), (sites, at)
    assert measure(run, {"probe": ["a/b", "a/c"], "sites": "last", "at": "last"}) == 8.0


def test_the_gap_is_taken_where_the_training_loss_first_falls_so_far(tmp_path):
    run = fake(tmp_path, "r", 0, [(1, 0.1)])
    rows = "step,train/loss,val/loss,val/top1\n1,2.0,2.1,0.1\n2,0.9,1.2,0.5\n3,0.4,1.9,0.6\n"
    (run.path / "metrics.csv").write_text(rows)
    assert measure(run, {"gap": 1.0}) == pytest.approx(0.3)
    assert np.isnan(measure(type(run)(run.path, run.status), {"gap": 0.1}))


def test_a_diverged_run_is_at_chance_and_its_norms_are_endless(tmp_path):
    run = fake(tmp_path, "r", 0, [(0, 0.1), (10, 0.5)], state="diverged", diverged_at=20)
    assert measure(run, {"final": "val/top1"}) == 0.1
    assert measure(run, {"area": "val/top1"}) == pytest.approx((0.3 * 10 + 0.3 * 10 + 0.1 * 80) / 100)
    assert measure(run, {"probe": "weights/norm", "sites": "max", "at": "last"}) == np.inf


def test_measures_over_cells():
    cells = {0.1: {0: 0.5, 1: 0.6}, 1.0: {0: 0.9, 1: 0.8}, 10.0: {0: 0.46, 1: 0.1, 2: 0.9}}
    assert across(cells, {"best": "lr", "cells": 3}) == {0: 0.9, 1: 0.8}
    assert across(cells, {"spread": "lr", "cells": 3}) == pytest.approx({0: 0.44, 1: 0.7})
    assert across(cells, {"largest": "lr", "cells": 3, "share": 0.5}) == {0: 10.0, 1: 1.0}
    assert across(cells, {"best": "lr", "cells": 4}) == {}  # a ladder with a rung missing says nothing


def test_an_older_record_has_the_default_of_a_newer_key():
    assert value({"norm": {"name": "bn"}}, "norm.placement") == "before"
    assert value({"norm": {"name": "bn", "placement": "after"}}, "norm.placement") == "after"


def test_verdicts_of_parts_and_readings_are_joined(tmp_path):
    assert together(["holds", "inconclusive"]) == "inconclusive" and together(["holds", "fails", "untested"]) == "fails"
    claim = load_claims(RULES)["C02"]
    contradicted = load_claims(RULES)["C25"]
    over = ledger._over_readings
    assert over(["holds", "fails"], claim) == "contested" and over(["holds", "untested"], claim) == "holds"
    assert over(["holds", "inconclusive"], claim) == "inconclusive" and over([], claim) == "untested"
    assert over(["holds"], contradicted) == "contested" and over(["fails"], contradicted) == "fails"
    part = part_of(tmp_path)
    check = part_of(tmp_path, check=True)
    sound, unsound = Judged(check, verdict="holds"), Judged(check, verdict="fails")
    assert ledger._reading([Judged(part, verdict="holds"), sound]) == "holds"
    assert ledger._reading([Judged(part, verdict="holds"), unsound]) == "inconclusive"


def test_the_committed_ledger_is_complete_and_reaches_everything():
    rows = json.loads((RESULTS / "claims.json").read_text())
    assert [row["id"] for row in rows] == CLAIMS and {row["verdict"] for row in rows} <= set(VERDICTS)
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
    assert table.within((ROOT / "README.md").read_text(), rows) == (ROOT / "README.md").read_text()


def test_a_verdict_follows_the_records_and_not_a_list(tmp_path):
    """One changed accuracy turns a claim: the ledger is not a table of words."""
    worse, better = [0.5, 0.52, 0.51], [0.9, 0.91, 0.92]
    for name, plain, bn, expected in (("a", worse, better, "holds"), ("b", better, worse, "fails")):
        results = tmp_path / name / "results"
        two_arms(results, plain, bn)
        (results / "claims").mkdir()
        (results / ledger.IDENTITIES).write_text('{"numbers": {}}')
        part = {"what": "gain", "experiment": EXPERIMENT, "measure": {"final": "val/top1"}, "compare": "bn - plain"}
        part |= {"arms": {"bn": {}, "plain": {"norm.name": "none"}}, "above": 0}
        rules = definitions(tmp_path / name / "configs" / "claims", {"seeds": 3, "parts": [part]})
        where = {EXPERIMENT: {"records": EXPERIMENT, "base": {"norm.name": "bn"}, "command": "known"}}
        (rules / "experiments.yaml").write_text(yaml.safe_dump(where))
        assert report.main(["claims", "--results", str(results)]) == 0
        row = json.loads((results / "claims.json").read_text())[0]
        assert row["verdict"] == expected and row["n"] == 3 and len(row["runs"]) == 6
        assert (results / table.PLOTS / "C01.png").stat().st_size > 1000


def test_the_ledger_says_what_it_lacks(tmp_path, capsys):
    assert report.main(["claims", "--results", str(tmp_path / "results")]) == 2
    assert "error:" in capsys.readouterr().err
    assert report.main(["claims", "--records", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "committed records alone" in capsys.readouterr().err
