"""Runs as users and schedulers treat them: killed, relaunched, launched twice, stopped by signals."""

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from launches import assert_same_run, only_run, start, trained_here, wait_for_steps

SMALL = ("experiment=figure1/bn", "scale=smoke", "logger.mode=disabled")
INCEPTION = (  # BN-Baseline, with dropout and a schedule
    *("experiment=figure2/bn_baseline", "scale=smoke", "logger.mode=disabled"),
    *("scale.imagenet.steps=40", "scale.imagenet.evaluate_every=10", "scale.imagenet.probe_every=20"),
    *("data.images_per_class=10", "training.batch_size=8", "probe.batches=1", "evaluation.population_batches=2"),
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """The small run done without interruption."""
    return trained_here(tmp_path_factory.mktemp("straight"), *SMALL)


def test_the_curve_ends_in_the_result(straight):
    final = json.loads((straight / "status.json").read_text())["final"]
    last = pd.read_csv(straight / "metrics.csv").iloc[-1]
    for name in ("val/loss", "val/top1", "val/top5"):
        assert last[name] == pytest.approx(final[name], rel=1e-5)
    assert final["val/loss"] != final["val/loss_fixed_batches"] != final["val/loss_moving_average"]


def test_killed_at_random_and_relaunched_is_the_same_run(environment, straight):
    """SIGKILL whenever it hurts, four times; what comes out is the uninterrupted run to the bit."""
    runs, rng = Path(environment["BNREPRO_RUNS"]), random.Random(0)
    resumed_from = set()
    for _ in range(4):
        process = start(environment, *SMALL, "checkpoint_seconds=0.01")
        wait_for_steps(runs, max(resumed_from, default=0) + rng.randint(1, 60), process)
        time.sleep(rng.random() * 0.1)
        process.kill()
        process.wait()
        resumed_from.add(json.loads((only_run(runs) / "status.json").read_text())["step"])
    process = start(environment, *SMALL)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "finished" in out
    status = json.loads((only_run(runs) / "status.json").read_text())
    assert len(status["resumed"]) == 4 and min(status["resumed"]) > 0 and status["exact_resume"]
    assert only_run(runs).name == straight.name
    assert_same_run(only_run(runs), straight)


def test_an_inception_that_is_killed_resumes_bit_for_bit(environment, tmp_path):
    runs = Path(environment["BNREPRO_RUNS"])
    for step in (5, 22):
        process = start(environment, *INCEPTION, "checkpoint_seconds=0.01")
        wait_for_steps(runs, step, process)
        process.kill()
        process.wait()
    process = start(environment, *INCEPTION)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0 and "finished" in out
    status = json.loads((only_run(runs) / "status.json").read_text())
    assert len(status["resumed"]) == 2 and min(status["resumed"]) > 0
    assert_same_run(only_run(runs), trained_here(tmp_path / "straight", *INCEPTION))


def test_killed_between_its_last_checkpoint_and_its_last_word(environment, straight):
    """The checkpoint says all steps are done, the status does not say that the run is finished."""
    runs = Path(environment["BNREPRO_RUNS"])
    shutil.copytree(straight, runs / straight.name)
    path = runs / straight.name / "status.json"
    status = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in status.items() if k not in ("final", "ended")} | {"state": "running"}))
    process = start(environment, *SMALL)
    process.communicate(timeout=60)
    assert process.returncode == 0
    again = json.loads(path.read_text())
    assert again["state"] == "finished" and again["final"] == status["final"]
    assert_same_run(runs / straight.name, straight)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_saves_at_once(environment, straight, signum):
    runs = Path(environment["BNREPRO_RUNS"])
    process = start(environment, *SMALL, "checkpoint_seconds=0.01")
    wait_for_steps(runs, 5, process)
    process.send_signal(signum)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted at step" in out and "run the same command to go on" in out
    assert json.loads((only_run(runs) / "status.json").read_text())["state"] == "interrupted"
    process = start(environment, *SMALL)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert_same_run(only_run(runs), straight)


def test_two_launches_at_once_train_it_once(environment, straight):
    runs = Path(environment["BNREPRO_RUNS"])
    first = start(environment, *SMALL, "checkpoint_seconds=0.01")
    wait_for_steps(runs, 5, first)
    first.send_signal(signal.SIGSTOP)  # alive and slow
    second = start(environment, *SMALL)
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 3 and "another process" in out and str(first.pid) in out
    assert len(out.splitlines()) == 1
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=120)
    assert first.returncode == 0
    third = start(environment, *SMALL)
    out, _ = third.communicate(timeout=60)
    assert third.returncode == 0 and "already in" in out
    assert_same_run(only_run(runs), straight)


def test_one_seeds_bad_checkpoint_does_not_touch_its_neighbours(environment, straight):
    """Of two seeds launched together one cannot go on; the other ends as it would have alone."""
    runs = Path(environment["BNREPRO_RUNS"])
    bad = runs / straight.name.replace("-s0-", "-s1-")
    bad.mkdir(parents=True)
    (bad / "checkpoint.pt").write_text("broken")
    process = start(environment, *SMALL, "seeds=[0,1]")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "is corrupt" in out and f"{straight.name}: finished" in out
    assert_same_run(runs / straight.name, straight)


def test_divergence_survives_a_kill_before_its_last_word(environment):
    """The checkpoint of a diverged run remembers it."""
    arguments = (*SMALL, "model.nonlinearity=relu", "norm=none", "optimizer.base_lr=1e30", "scale.mnist.steps=3")
    start(environment, *arguments).communicate(timeout=60)
    path = only_run(Path(environment["BNREPRO_RUNS"])) / "status.json"
    status = json.loads(path.read_text())
    assert status["state"] == "diverged"
    path.write_text(json.dumps({k: v for k, v in status.items() if k != "diverged_at"} | {"state": "running"}))
    start(environment, *arguments).communicate(timeout=60)
    again = json.loads(path.read_text())
    assert (again["state"], again["diverged_at"]) == ("diverged", status["diverged_at"])


def test_stacked_seeds_are_ordinary_runs_resumed_from_where_each_stands(environment, straight):
    """Seed 0 stops early alone; then seeds 0 and 1 are launched together; both end as they would have alone."""
    runs = Path(environment["BNREPRO_RUNS"])
    process = start(environment, *SMALL, "checkpoint_seconds=0.01")
    wait_for_steps(runs, 50, process)
    process.kill()
    process.wait()
    process = start(environment, *SMALL, "seeds=[0,1]")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and out.count("finished") == 2
    assert {path.name.split("-")[1] for path in runs.glob("*-s*")} == {"s0", "s1"}
    assert_same_run(runs / straight.name, straight)


def test_divergence_is_an_outcome_and_does_not_touch_its_neighbours(environment, tmp_path):
    """A rate that blows up: the record says at which step, the exit code is 0, and a relaunch leaves it alone."""
    arguments = (*SMALL, "model.nonlinearity=relu", "norm=none", "optimizer.base_lr=1e30")
    process = start(environment, *arguments)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "diverged at step" in out
    status = json.loads((only_run(Path(environment["BNREPRO_RUNS"])) / "status.json").read_text())
    assert status["state"] == "diverged" and 1 < status["diverged_at"] <= 10
    again = start(environment, *arguments)
    out, _ = again.communicate(timeout=120)
    assert again.returncode == 0 and "already in" in out
