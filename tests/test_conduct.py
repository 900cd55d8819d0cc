"""A sweep's table, summary, exit code and the one command that goes on; all without training."""

import io
import json
import os
import signal
import sys
from pathlib import Path

import filelock
import pytest
from rich.console import Console

from bnrepro.sweeps import conduct, jobs
from bnrepro.sweeps.watch import Watch, rows
from fake_sweeps import Records, fake_job, master, write_record

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


def test_the_table_shows_run_state_step_accuracy_and_time_left(tmp_path):
    write_record(tmp_path / "a-s0-1", state="finished", step=9, steps=9, seconds=75, final={"val/top1": 0.75})
    write_record(tmp_path / "b-s0-1", state="running", step=300, steps=1200, seconds=60)
    (tmp_path / "b-s0-1" / "metrics.csv").write_text("step,seconds,val/top1\n100,20,0.1\n300,60,0.25\n310,6")
    (tmp_path / "sweep" / "0").mkdir(parents=True)
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    watch = Watch([fake_job(tmp_path, "a-s0-1", "b-s0-1"), fake_job(tmp_path, "c-s0-1")], tmp_path / "sweep", console)
    with filelock.FileLock(tmp_path / "b-s0-1" / "lock"):
        console.print(watch.table())
    lines = {line.split()[0]: line.split() for line in console.file.getvalue().splitlines() if line.strip()}
    assert lines["run"] == ["run", "state", "step", "top-1", "time", "left"]
    assert lines["a-s0-1"] == ["a-s0-1", "finished", "9/9", "0.7500", "1:15"]
    assert lines["b-s0-1"] == ["b-s0-1", "running", "300/1,200", "0.2500", "1:00", "3:00"]
    assert lines["c-s0-1"][:3] == ["c-s0-1", "not", "begun"]


def test_of_a_long_sweep_the_table_keeps_what_matters(tmp_path):
    states = ["finished", "finished", "failed", "interrupted", "diverged"]
    for k, state in enumerate(states):
        write_record(tmp_path / f"r-s{k}-1", state=state)
    shown, left_out = rows([fake_job(tmp_path, *(f"r-s{k}-1" for k in range(5)))], most=3, ended={})
    assert [run["state"] for run in shown] == ["failed", "interrupted", "diverged"] and left_out == 2


def test_the_table_lists_what_the_runs_of_a_variant_differ_in(tmp_path):
    """Before there is any record: which names the next two have does not say which is which."""
    jobs = [fake_job(tmp_path, f"bn-s0-{k}", overrides=("seed=0", f"optimizer.base_lr={k}")) for k in (1, 2)]
    shown, _ = rows([*jobs, fake_job(tmp_path, "plain-s0-3", overrides=("seed=0", "norm=none"))], most=9, ended={})
    assert [run["varied"] for run in shown] == ["optimizer.base_lr=1", "optimizer.base_lr=2", ""]


def test_what_jobs_print_is_passed_on_once(tmp_path, capsys):
    (tmp_path / "0").mkdir()
    log = tmp_path / "0" / "log.txt"
    log.write_bytes(b"one\ntwo \xc2")  # half a character
    with Watch([], tmp_path) as watch:
        watch.look()
        log.write_text("one\ntwo \u00b1 3\n")
        watch.look()
    assert capsys.readouterr().out == "one\ntwo \u00b1 3\n"
