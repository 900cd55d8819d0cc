"""What scripts/status.py says of runs in every state."""

import csv
import json
import re
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest

from bnrepro.cli import status
from bnrepro.records.run import RunDirectory
from bnrepro.training import experiment, progress
from conftest import config_of


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A finished run, one whose process died, one whose process lives, a failed one, and a sweep's plan."""
    for name, state, step in (
        ("a-s0-1", "finished", 9),
        ("b-s0-1", "running", 4),
        ("c-s0-1", "running", 5),
        ("d-s0-1", "failed", 1),
    ):
        (tmp_path / "runs" / name).mkdir(parents=True)
        status = {"state": state, "step": step, "steps": 9, "seconds": 75, "final": {"val/top1": 0.5}}
        if state != "finished":
            del status["final"]
        (tmp_path / "runs" / name / "status.json").write_text(json.dumps(status))
        (tmp_path / "runs" / name / "lock").touch()
    committed = tmp_path / "results" / "figure1" / "paper" / "runs" / "e-s0-1"
    committed.mkdir(parents=True)
    (committed / "status.json").write_text(json.dumps({"state": "finished", "steps": 9, "step": 9}))
    return tmp_path / "runs"


def say(capsys, runs: Path, *arguments: str) -> str:
    assert status.main(["--runs", str(runs), "--results", str(runs.parent / "results"), *arguments]) == 0
    return capsys.readouterr().out


def test_states_are_what_the_locks_say(capsys, runs):
    with filelock.FileLock(runs / "c-s0-1" / "lock"):
        listed = json.loads(say(capsys, runs, "--json"))["runs"]
        lines = {line.split()[0]: line.split()[1:] for line in say(capsys, runs).splitlines() if "-s0-" in line}
    assert {run["name"][0]: run["state"] for run in listed} == {
        "a": "finished", "b": "interrupted", "c": "running", "d": "failed", "e": "finished"
    }  # fmt: skip
    assert lines["a-s0-1"][:4] == ["finished", "9/9", "0.5000", "1:15"]
    assert lines["c-s0-1"][0] == "running" and "e-s0-1" not in lines


def test_committed_records_are_counted_and_listed_on_request(capsys, runs):
    assert "and 1 committed records" in say(capsys, runs)
    assert "e-s0-1" in say(capsys, runs, "--committed")


def test_records_of_one_name_are_all_listed_and_a_link_is_a_second_name(capsys, runs):
    record = runs.parent / "results" / "figure1" / "paper" / "runs" / "e-s0-1"
    check = shutil.copytree(record, runs.parent / "results" / "figure1_check" / "paper" / "runs" / "e-s0-1")
    link = runs.parent / "results" / "claims" / "other" / "runs" / "f-s0-1"
    link.parent.mkdir(parents=True)
    link.symlink_to(record)
    assert "and 2 committed records" in say(capsys, runs)
    listed = json.loads(say(capsys, runs, "e-s0-1", "--json"))["runs"]
    assert [run["path"] for run in listed] == [str(record), str(check)]
    (linked,) = json.loads(say(capsys, runs, "f-s0-1", "--json"))["runs"]
    assert (linked["path"], linked["links"]) == (str(record), [str(link)])
    folder = runs / ".sweeps" / "20260101-000000-000000"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"runs": ["e-s0-1", "f-s0-1"], "overrides": [], "publish": True}))
    assert "still lacks: nothing" in say(capsys, runs)


def test_lookers_at_a_dead_run_do_not_take_each_other_for_its_trainer(runs):
    """Eight look at once, many times; none of them trains it."""
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda _: RunDirectory(runs / "c-s0-1").state(), range(1000)))
    assert Counter(states) == {"interrupted": 1000}


@pytest.mark.parametrize(("publish", "lacking"), [(False, ["b-s0-1", "e-s0-1"]), (True, ["b-s0-1"])])
def test_what_the_last_sweep_lacks(capsys, runs, publish, lacking):
    """A committed record counts only for a sweep that publishes."""
    folder = runs / ".sweeps" / "20260101-000000-000000"
    folder.mkdir(parents=True)
    plan = {"runs": ["a-s0-1", "b-s0-1", "e-s0-1"], "overrides": [], "publish": publish}
    (folder / "plan.json").write_text(json.dumps(plan))
    assert json.loads(say(capsys, runs, "--json"))["last_sweep"]["lacking"] == lacking
    assert f"still lacks: {', '.join(lacking)}" in say(capsys, runs)


SHORT = ("experiment=figure1/bn", "scale=smoke", "training.steps=60", "seeds=[0,1]", "logger.mode=disabled")


@pytest.mark.parametrize(("period", "lines"), [(0.0, True), (3600.0, False)])
def test_a_run_says_now_and_then_how_far_it_is(period, lines, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(progress, "PERIOD", period)
    looks = ("evaluation.log_points_per_decade=1", "evaluation.every=20", "probe=none")
    experiment.run(config_of(*SHORT, *looks, f"runs_dir={tmp_path}"), "python ...")
    printed = capsys.readouterr().out.splitlines()
    assert bool(printed) == lines
    rows = [list(csv.DictReader(path.open())) for path in tmp_path.glob("bn-s*/metrics.csv")]
    steps = [row["step"] for row in rows[0]][:-1]  # the last one is the result, which the run ends with
    assert len(printed) in (0, len(steps))
    for k, (line, step) in enumerate(zip(printed, steps, strict=False)):
        top1 = sum(float(own[k]["val/top1"]) for own in rows) / 2
        assert " and 1 more: step " + step + " of 60" in line and f"top-1 {top1:.4f}, loss " in line
        assert re.search(r", [\d,.e+]+ steps/s, \d+:\d\d left$", line), line


def test_what_was_varied_is_listed(capsys, runs):
    """Overrides as they were typed; experiment, scale, seeds and places do not count."""
    typed = {
        "a-s0-1": "experiment=figure1/bn scale=mini optimizer.base_lr=0.3 seed=0 device=cpu",
        "b-s0-1": "experiment=figure1/bn scale=mini +scale.mnist.steps=9 'seeds=[0,1]' logger.mode=disabled",
        "c-s0-1": "experiment=figure1/bn scale=mini norm=group_norm hydra/launcher=joblib",
        "d-s0-1": "experiment=figure1/plain",
    }
    for name, words in typed.items():
        path = runs / name / "status.json"
        command = f"python scripts/train.py {words}"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"command": command}))
    labels = {run["name"]: run["varied"] for run in json.loads(say(capsys, runs, "--json"))["runs"]}
    varied = ("optimizer.base_lr=0.3", "scale.mnist.steps=9", "norm=group_norm", "", "")
    assert labels == dict(zip((*typed, "e-s0-1"), varied, strict=True))
    lines = {line.split()[0]: line.split() for line in say(capsys, runs).splitlines()}
    assert lines["run"][1] == "varied" and lines["b-s0-1"][1] == varied[1]
    assert say(capsys, runs, "d-s0-1").split()[:2] == ["run", "state"]


def test_runs_are_named_by_name_directory_or_pattern(capsys, runs):
    for words, names in (
        (["a-s0-1"], "a"),
        (["[ab]-s0-*", "d-s0-1"], "abd"),
        ([f"{runs}/c-s0-1/"], "c"),
        (["e-*"], "e"),  # committed
        ([f"{runs}/*"], "abcd"),
    ):
        shown = [line.strip()[0] for line in say(capsys, runs, *words).splitlines() if "-s0-" in line]
        assert "".join(shown) == names, words
        assert "".join(run["name"][0] for run in json.loads(say(capsys, runs, *words, "--json"))["runs"]) == names
    assert status.main(["--runs", str(runs), "x-*"]) == 2
    assert "no run is called x-*" in capsys.readouterr().err


def test_a_run_says_at_its_end_what_was_varied(tmp_path):
    words = ("experiment=figure1/bn", "scale=smoke", "training.steps=20", "optimizer.base_lr=0.3")
    config = config_of(*words, "logger.mode=disabled", f"runs_dir={tmp_path}")
    (outcome,) = experiment.run(config, "python scripts/train.py " + " ".join(words))
    said = outcome.message
    assert ": finished, top-1 0." in said and " s with training.steps=20 optimizer.base_lr=0.3; record in " in said


def test_no_runs_says_how_to_start_one(capsys, tmp_path):
    assert "scripts/train.py experiment=" in say(capsys, tmp_path / "nothing")
