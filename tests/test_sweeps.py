"""Sweeps: finished runs are skipped, failures are named, locked ones are waited for, a killed sweep ends."""

import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from conftest import ROOT
from launches import TRAIN

SHORT = ("scale=smoke", "scale.mnist.steps=60", "probe=none")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def states(runs: Path) -> dict[str, str]:
    return {p.parent.name: json.loads(p.read_text())["state"] for p in runs.glob("*-s*/status.json")}


@pytest.mark.parametrize(
    "launcher", [(), JOBLIB, (*JOBLIB[:1], "hydra.launcher.n_jobs=1")], ids=["basic", "joblib", "one"]
)
def test_a_sweep_relaunched_repeats_nothing(door, environment, launcher):
    runs = Path(environment["BNREPRO_RUNS"])
    first = door("train.py", "-m", *launcher, "experiment=figure1/bn", *SHORT, "seed=0")
    assert first.returncode == 0 and "sweep: 1 finished" in first.stdout, first.stdout + first.stderr
    (done,) = runs.glob("bn-s0-*")
    before = (done / "status.json").stat().st_mtime_ns
    both = door("train.py", "-m", *launcher, "experiment=figure1/plain,figure1/bn", *SHORT, "seed=0,1")
    assert "sweep: 4 runs, 1 of them finished before" in both.stdout
    assert both.returncode == 0 and "sweep: 4 finished" in both.stdout, both.stdout + both.stderr
    assert (done / "status.json").stat().st_mtime_ns == before
    assert list(states(runs).values()) == ["finished"] * 4
    if not launcher:
        none = door("train.py", "-m", "experiment=glob(figure1/*n)", *SHORT)
        assert none.returncode == 2 and "error: the sweep has no runs" in none.stderr
        (done / "status.json").unlink()
        assert json.loads(door("status.py", "--json").stdout)["last_sweep"]["lacking"] == [done.name]
        return
    status = door("status.py", "--json")
    told = json.loads(status.stdout)
    assert len(told["runs"]) >= 4 and told["last_sweep"]["lacking"] == []


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


@pytest.mark.parametrize("dies", ["early", "late"])
def test_a_run_held_by_another_process_is_revisited(door, environment, dies):
    """The sweep finds seed 0 taken, does seed 1, comes back, and finishes seed 0, its holder dead by then or not."""
    runs = Path(environment["BNREPRO_RUNS"])
    arguments = ("experiment=figure1/bn", "scale=smoke", "probe=none", "logger.mode=disabled")
    holder = subprocess.Popen(
        [*TRAIN, *arguments, "checkpoint_seconds=0.01"], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )
    while not list(runs.glob("bn-s0-*/checkpoint.pt")):
        time.sleep(0.05)
    holder.send_signal(signal.SIGSTOP)  # alive, holding its lock, getting nowhere
    sweep = subprocess.Popen(
        [*TRAIN, "-m", *arguments, "seed=0,1"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    lines = []
    for line in sweep.stdout:
        lines.append(line)
        if ("another process" if dies == "early" else "waiting for the process") in line:
            holder.kill()
            holder.wait()
    assert sweep.wait() == 0, lines
    assert "another process" in lines[1] and "bn-s1" in lines[2] and "finished" in lines[2]
    assert any("waiting" in line for line in lines) == (dies == "late")
    assert "bn-s0" in lines[-2] and "finished" in lines[-2] and "sweep: 2 finished" in lines[-1]
    assert sorted(states(runs).values()) == ["finished", "finished"]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_parallel_sweep_ends_and_goes_on(environment, signum):
    """Nothing keeps training after the sweep is gone, and the same command finishes it."""
    runs = Path(environment["BNREPRO_RUNS"])
    command = [*TRAIN, "-m", *JOBLIB, "experiment=figure1/bn", "scale=smoke", "scale.mnist.steps=8000", "probe=none"]
    command += ["seed=0,1,2", "logger.mode=disabled", "checkpoint_seconds=0.1"]
    sweep = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(runs.glob("bn-s*/checkpoint.pt"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    family = [p for p in psutil.Process(sweep.pid).children(recursive=True) if p.is_running()]
    workers = [p for p in family if "bnrepro.worker" in " ".join(p.cmdline())]
    assert len(workers) == 2
    sweep.send_signal(signum)
    sweep.wait(30)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    assert len(states(runs)) == 2  # the third was never started
    assert "finished" not in states(runs).values()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and "sweep: 3 finished" in done.stdout, done.stdout + done.stderr
    resumed = [json.loads(p.read_text())["resumed"] for p in runs.glob("bn-s*/status.json")]
    assert sum(bool(steps) for steps in resumed) >= 2


def test_a_slip_in_the_last_job_stops_the_sweep_before_its_first(door, environment):
    sweep = door("train.py", "-m", "experiment=figure1/bn", *SHORT, "data.split=full,test")
    assert sweep.returncode == 2 and "data.split=test is not one of" in sweep.stderr
    assert not states(Path(environment["BNREPRO_RUNS"]))
