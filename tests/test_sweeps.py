"""Sweeps as they are launched: finished runs are skipped, failures are named, what another trains is waited for."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import ROOT
from launches import TRAIN

SHORT = ("scale=smoke", "scale.mnist.steps=60", "probe=none", "evaluation.log_points_per_decade=1")
IN_TURN, IN_PARALLEL = (("hydra/launcher=joblib", f"hydra.launcher.n_jobs={n}") for n in (1, 2))


def states(runs: Path) -> dict[str, str]:
    return {p.parent.name: json.loads(p.read_text())["state"] for p in runs.glob("*-s*/status.json")}


@pytest.mark.parametrize(("first", "then"), [((), ()), (IN_TURN, IN_PARALLEL)], ids=["basic", "joblib"])
def test_a_sweep_relaunched_repeats_nothing(door, environment, first, then):
    runs = Path(environment["BNREPRO_RUNS"])
    alone = door("train.py", "-m", *first, "experiment=figure1/bn", *SHORT)
    assert alone.returncode == 0 and "sweep: 1 finished" in alone.stdout, alone.stdout + alone.stderr
    (done,) = runs.glob("bn-s0-*/status.json")
    before = done.stat().st_mtime_ns
    both = door("train.py", "-m", *then, "experiment=figure1/plain,figure1/bn", *SHORT)
    assert "sweep: 2 runs, 1 of them finished before" in both.stdout
    assert both.returncode == 0 and "sweep: 2 finished" in both.stdout, both.stdout + both.stderr
    assert done.stat().st_mtime_ns == before
    assert list(states(runs).values()) == ["finished"] * 2
    if not first:
        done.unlink()
        assert json.loads(door("status.py", "--json").stdout)["last_sweep"]["lacking"] == [done.parent.name]


def test_a_divergence_passes_and_a_failure_is_named(door, environment):
    """Two bad neighbours of a good run: one diverges (a result), one cannot start (a fault)."""
    relu = ("model.nonlinearity=relu",)
    runs = Path(environment["BNREPRO_RUNS"])
    diverging = door("train.py", "-m", "experiment=figure1/plain", *SHORT, *relu, "optimizer.base_lr=0.1,1e30")
    assert diverging.returncode == 0 and "sweep: 1 diverged, 1 finished" in diverging.stdout
    (good,) = [name for name, state in states(runs).items() if state == "finished"]
    broken = runs / good.replace("-s0-", "-s1-")
    broken.mkdir()
    (broken / "checkpoint.pt").write_text("broken")
    failing = door("train.py", "-m", "experiment=figure1/plain", *SHORT, *relu, "optimizer.base_lr=0.1", "seed=1,2")
    assert failing.returncode == 1
    assert f"not complete: {broken.name}" in failing.stdout
    assert failing.stdout.splitlines()[-1].startswith("go on with: python ")
    assert states(runs)[good.replace("-s0-", "-s2-")] == "finished"


def test_a_run_held_by_another_process_is_revisited(environment):
    """The sweep finds seed 0 taken, does seed 1, comes back, waits, and finishes seed 0 once its holder has died."""
    runs = Path(environment["BNREPRO_RUNS"])
    arguments = ("experiment=figure1/plain", "scale=smoke", "probe=none", "logger.mode=disabled")
    holder = subprocess.Popen(
        [*TRAIN, *arguments, "checkpoint_seconds=0.01"], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )
    while not list(runs.glob("plain-s0-*/checkpoint.pt")):
        time.sleep(0.05)
    holder.send_signal(signal.SIGSTOP)  # alive, holding its lock, getting nowhere
    sweep = subprocess.Popen(
        [*TRAIN, "-m", *arguments, "seed=0,1"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    lines = []
    for line in sweep.stdout:
        lines.append(line)
        if "waiting for the process" in line:
            holder.kill()
            holder.wait()
    assert sweep.wait() == 0, lines
    assert "another process" in lines[1] and "plain-s1" in lines[2] and "finished" in lines[2]
    assert "plain-s0" in lines[-2] and "finished" in lines[-2] and "sweep: 2 finished" in lines[-1]
    assert sorted(states(runs).values()) == ["finished", "finished"]


def test_a_slip_in_the_last_job_stops_the_sweep_before_its_first(door, environment):
    sweep = door("train.py", "-m", "experiment=figure1/bn", *SHORT, "data.split=full,test")
    assert sweep.returncode == 2 and "data.split=test is not one of" in sweep.stderr
    assert not states(Path(environment["BNREPRO_RUNS"]))
