"""Twelve runs, their sweep ended five times at random: twelve finished in the end, none of them repeated."""

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil

from conftest import ROOT
from launches import TRAIN

RUNS = 12
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGTERM]
ARGUMENTS = (
    "-m hydra/launcher=joblib hydra.launcher.n_jobs=2 experiment=figure1/plain scale=smoke scale.mnist.steps=800 "
    "probe=none evaluation.every=800 evaluation.log_points_per_decade=1 logger.mode=disabled checkpoint_seconds=0.2 "
    f"seed=range({RUNS})"
).split()


def records(runs: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text()) for path in runs.glob("*-s*/status.json")}


def finished(runs: Path) -> dict[str, dict]:
    return {name: status for name, status in records(runs).items() if status["state"] == "finished"}


def launch(environment: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(
        [*TRAIN, *ARGUMENTS],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in what a shell puts behind
        process_group=0,
    )


def wait_for_progress(sweep: subprocess.Popen, runs: Path, more: int) -> None:
    """Wait until so many more runs are finished, and at least one has gone on."""
    goal, before = len(finished(runs)) + more, {name: status["step"] for name, status in records(runs).items()}
    while len(finished(runs)) < goal or {name: status["step"] for name, status in records(runs).items()} == before:
        assert sweep.poll() is None, sweep.communicate()[0]
        time.sleep(0.02)


def end(sweep: subprocess.Popen, signum: signal.Signals, runs: Path) -> None:
    """Send the signal; all of the sweep's processes are then gone, and its runs have saved if they could."""
    family = psutil.Process(sweep.pid).children(recursive=True)
    pids = {process.pid for process in family}
    running = {name: status for name, status in records(runs).items() if status["state"] == "running"}
    training = [name for name, status in running.items() if status["pid"] in pids]
    if signum == signal.SIGINT:
        os.killpg(sweep.pid, signum)  # as a terminal does
    else:
        sweep.send_signal(signum)
    output = sweep.communicate()[0]
    _, alive = psutil.wait_procs(family, timeout=300)
    assert not alive
    assert all(records(runs)[name]["state"] in ("interrupted", "finished") for name in training)
    if signum != signal.SIGKILL:
        assert sweep.returncode == 128 + signum and "interrupted; go on with: python" in output, output


def test_twelve_runs_and_five_kills(environment):
    runs = Path(environment["BNREPRO_RUNS"])
    chance = random.Random(20150211)
    done: dict[str, dict] = {}
    for signum in SIGNALS:
        sweep = launch(environment)
        wait_for_progress(sweep, runs, chance.choice([0, 0, 1, 2]))
        time.sleep(chance.uniform(0, 1))
        end(sweep, signum, runs)
        assert {name: finished(runs)[name] for name in done} == done, "a finished run was touched"
        done = finished(runs)
    sweep = launch(environment)
    output = sweep.communicate()[0]
    assert sweep.returncode == 0, output
    assert f"sweep: {RUNS} runs, {len(done)} of them finished before" in output
    assert f"sweep: {RUNS} finished" in output
    every = finished(runs)
    assert len(records(runs)) == len(every) == RUNS
    assert {name: every[name] for name in done} == done
    trained = re.findall(r"^(plain-s\d+-\w+): finished", output, re.MULTILINE)
    assert sorted(trained) == sorted(set(every) - set(done))  # the last launch trained what was missing, once
    resumed = sum(len(status["resumed"]) for status in every.values())
    print(f"{len(SIGNALS)} kills; {len(done)} runs finished before the last launch, {resumed} resumptions")
    assert resumed >= 1
