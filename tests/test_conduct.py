"""A sweep's summary, exit code and the one command that goes on; all without training."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from bnrepro.sweeps import conduct, jobs
from bnrepro.sweeps.logs import Logs
from fake_sweeps import Records, master

FINISHED = {"state": "finished", "final": {"tune/top1": 0.5}}


@pytest.fixture(autouse=True)
def typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "-m", "experiment=figure1/bn", "seed=0,1"])


def swept(tmp_path: Path, outcome, *overrides: str) -> Records:
    fixed = ("experiment=figure1/bn", "scale=smoke", f"runs_dir={tmp_path}/runs", f"hydra.sweep.dir={tmp_path}/sweep")
    with master(*fixed, *overrides) as config:
        launcher = Records(outcome)
        conduct.conduct(config, launcher, jobs.plan(config, [{"seed": "0,1"}]))
    return launcher


def test_a_complete_sweep_ends_with_a_summary(tmp_path, capsys):
    launcher = swept(tmp_path, lambda config: FINISHED)
    assert capsys.readouterr().out.splitlines() == ["sweep: 2 runs, 0 of them finished before", "sweep: 2 finished"]
    assert len(launcher.launched) == 2
    plan = json.loads((tmp_path / "sweep" / "plan.json").read_text())
    assert plan["command"] == "python scripts/train.py -m experiment=figure1/bn seed=0,1" and len(plan["runs"]) == 2


def test_a_failed_run_is_named_with_the_command_that_goes_on(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        swept(tmp_path, lambda config: FINISHED if config.seed else {"state": "failed"})
    lines = capsys.readouterr().out.splitlines()[1:]
    assert ended.value.code == 1
    assert lines[0] == "sweep: 1 failed, 1 finished"
    assert lines[1].startswith("not complete: bn-s0-") and lines[1].endswith("(failed)")
    assert lines[2] == "go on with: python scripts/train.py -m experiment=figure1/bn seed=0,1"


def test_what_was_interrupted_is_launched_once_more(tmp_path, capsys):
    states = iter(["interrupted", "finished", "finished"])
    launcher = swept(tmp_path, lambda config: {"state": next(states)})
    assert [job.config.seed for job in launcher.launched] == [0, 1, 0] and launcher.numbers == [0, 1, 2]
    assert "sweep: 2 finished" in capsys.readouterr().out


def test_a_fault_of_the_launcher_is_one_line_and_the_summary_still_comes(tmp_path, capsys):
    def broken(config):
        raise RuntimeError("the queue is closed\nand more")

    with pytest.raises(SystemExit) as ended:
        swept(tmp_path, broken)
    printed = capsys.readouterr()
    assert ended.value.code == 1 and printed.err == "error: RuntimeError: the queue is closed\n"
    assert "sweep: 2 not begun" in printed.out and "go on with: python" in printed.out


def test_an_interrupted_sweep_says_how_it_goes_on(tmp_path, capsys):
    def typed_ctrl_c(config):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        swept(tmp_path, typed_ctrl_c)
    assert ended.value.code == 130
    assert "\ninterrupted; go on with: python scripts/train.py -m experiment=" in capsys.readouterr().out


def test_sigterm_ends_the_sweep_as_ctrl_c_does(tmp_path, capsys):
    def terminated(config):
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        swept(tmp_path, terminated)
    assert ended.value.code == 128 + signal.SIGTERM
    assert "\ninterrupted; go on with: python scripts/train.py -m experiment=" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_jobs_print_is_passed_on_once(tmp_path, capsys):
    (tmp_path / "0").mkdir()
    log = tmp_path / "0" / "log.txt"
    log.write_bytes(b"one\ntwo \xc2")  # half a character
    with Logs(tmp_path) as logs:
        logs.print_new_lines()
        log.write_text("one\ntwo \u00b1 3\n")
        logs.print_new_lines()
    assert capsys.readouterr().out == "one\ntwo \u00b1 3\n"
