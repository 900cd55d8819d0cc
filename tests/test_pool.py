"""The processes that a sweep starts on this machine; here they run a shell script in place of training."""

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from bnrepro.config.schema import Config
from bnrepro.errors import UserError
from bnrepro.sweeps import pool
from bnrepro.sweeps.pool import Pool
from bnrepro.sweeps.worker import Worker, stop_and_wait

SAVES = "trap 'echo saved; exit' USR1; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Make each worker run these shell commands."""

    def set_commands(commands: str) -> None:
        path = tmp_path / "worker.sh"
        path.write_text(f"#!/bin/sh\n{commands}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return set_commands


def jobs(runs_dir: Path, count: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(config=Config(runs_dir=str(runs_dir)), overrides=()) for _ in range(count)]


def logs(directory: Path) -> dict[str, list[str]]:
    return {path.parent.name: path.read_text().splitlines() for path in directory.glob("*/log.txt")}


def wait_until_ready(directory: Path, count: int) -> None:
    while sum("ready" in lines for lines in logs(directory).values()) < count:
        time.sleep(0.01)


def interrupted_once_ready(directory: Path, count: int, seconds_until_again: float = 0):
    """In place of the module time: its sleep is interrupted once so many jobs run, and perhaps again later."""

    def sleep(_: float) -> None:
        if len(logs(directory)) == count:
            wait_until_ready(directory, count)
            signal.setitimer(signal.ITIMER_REAL, seconds_until_again)
            raise KeyboardInterrupt

    return SimpleNamespace(sleep=sleep)


def test_an_interrupted_pool_starts_no_more_jobs_and_lets_those_that_run_save(tmp_path, script, monkeypatch, capsys):
    script(SAVES)
    monkeypatch.setattr(pool, "time", interrupted_once_ready(tmp_path / "sweep", 2))
    with pytest.raises(KeyboardInterrupt):
        Pool(OmegaConf.create({"n_jobs": 2})).launch(jobs(tmp_path, 3), 5, tmp_path / "sweep")
    assert logs(tmp_path / "sweep") == {"5": ["ready", "saved"], "6": ["ready", "saved"]}
    assert capsys.readouterr().out.startswith("stopping: the runs save first; asked again, the sweep stops at once")


def test_a_second_interrupt_does_not_wait_for_runs_to_save(tmp_path, script, monkeypatch):
    script("trap '' USR1; echo $$; echo ready; while :; do sleep 0.05; done")
    monkeypatch.setattr(pool, "time", interrupted_once_ready(tmp_path / "sweep", 1, seconds_until_again=0.2))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        Pool(OmegaConf.create({})).launch(jobs(tmp_path, 2), 0, tmp_path / "sweep")
    (lines,) = logs(tmp_path / "sweep").values()
    os.kill(int(lines[0]), signal.SIGKILL)  # it still runs


def test_no_more_jobs_than_asked_for_train_at_a_time(tmp_path, script, monkeypatch):
    script(f"ls {tmp_path}/running | wc -l; touch {tmp_path}/running/$$; sleep 0.1; rm {tmp_path}/running/$$")
    (tmp_path / "running").mkdir()
    Pool(OmegaConf.create({"n_jobs": 2})).launch(jobs(tmp_path, 5), 0, tmp_path / "sweep")
    others = [int(lines[0]) for lines in logs(tmp_path / "sweep").values()]
    assert len(others) == 5 and max(others) <= 1


def test_a_signal_that_ended_a_job_is_in_its_log(tmp_path, script):
    script("kill -KILL $$")
    Pool(OmegaConf.create({})).launch(jobs(tmp_path, 1), 0, tmp_path / "sweep")
    assert logs(tmp_path / "sweep") == {"0": ["job 0: ended by SIGKILL"]}


def test_a_worker_does_not_hear_ctrl_c(tmp_path, script):
    """It would meet it while it imports, and print a traceback."""
    script(SAVES)
    worker = Worker(tmp_path / "0", Config(), "python ...")
    wait_until_ready(tmp_path, 1)
    assert os.getpgid(worker.process.pid) == worker.process.pid
    stop_and_wait([worker])


def test_places_on_gpus_are_used_in_turn_and_come_back(tmp_path, script):
    script("sleep 0.3")
    Pool(OmegaConf.create({"gpus": [0, 1], "runs_per_gpu": 2})).launch(jobs(tmp_path, 6), 0, tmp_path / "sweep")
    gpus = [logs(tmp_path / "sweep")[str(k)][0].rpartition(" ")[2] for k in range(6)]
    assert gpus[:4] == ["0", "1", "0", "1"] and set(gpus[4:]) <= {"0", "1"}


@pytest.mark.parametrize(("options", "n_jobs"), [({"n_jobs": 3}, 3), ({"n_jobs": -1}, os.cpu_count()), ({}, 1)])
def test_runs_at_a_time(options, n_jobs):
    assert Pool(OmegaConf.create(options)).gpus == [None] * n_jobs


@pytest.mark.parametrize("options", [{"n_jobs": -2}, {"n_jobs": "two"}, {"gpus": [0], "runs_per_gpu": 0}])
def test_what_is_no_number_of_runs_at_a_time(options):
    with pytest.raises(UserError, match=r"hydra.launcher.\w+=[-\w]+ is not a number of runs at a time, such as 2"):
        Pool(OmegaConf.create(options))
