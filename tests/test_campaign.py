"""A campaign on the CPU: it stops in time and saves, goes on, repeats nothing, says what failed, packs records."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bnrepro import campaign
from bnrepro.errors import UserError
from bnrepro.records import provenance
from bnrepro.records.run import RECORD_FILES
from conftest import ROOT

SWEEP = ("experiment=figure1/bn", "scale=smoke", "scale.mnist.steps=800", "probe=none")
SWEEP += ("evaluation.population_batches=2", "seed=0,1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
SLOW = "checkpoint_seconds=0"  # it saves after every step
ENDLESS, GRACE = float("inf"), 30.0


@pytest.fixture
def runs(monkeypatch, environment) -> Path:
    """The runs directory, for campaigns in this process."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("BNREPRO_RUNS", environment["BNREPRO_RUNS"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return Path(environment["BNREPRO_RUNS"])


def statuses(runs: Path) -> list[dict]:
    """What is known of every run that has begun, by seed."""
    return [json.loads(path.read_text()) for path in sorted(runs.glob("bn-s*/status.json"))]


def contents(packed: Path) -> set[str]:
    with tarfile.open(packed) as tar:
        return set(tar.getnames())


def once_trained(runs: Path, count: int, steps: int, then: Callable[[], float]) -> Callable[[], float]:
    """A clock that has all the time until so many runs have got that far."""
    return lambda: then() if sum(one.get("step", 0) > steps for one in statuses(runs)) >= count else ENDLESS


def test_it_stops_in_time_goes_on_and_repeats_nothing(runs, capfd, door, tmp_path):
    """Three runs, two at a time: stopped by the clock, then by a signal, then finished from the command line."""
    assert campaign.run([*SWEEP, SLOW], once_trained(runs, 2, 0, lambda: GRACE), GRACE, tmp_path / "first.tar") == 0
    told = capfd.readouterr().out
    assert "sweep: 3 runs, 0 of them finished before" in told and "stopped in time; the same command goes on" in told
    assert "go on with: python scripts/train.py -m" in told and "hydra.sweep.dir" not in told
    assert "still lacks" in told and "0 records packed" in told and not contents(tmp_path / "first.tar")
    assert [one["state"] for one in statuses(runs)] == ["interrupted"] * 2  # the third was not begun

    def signalled() -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return ENDLESS

    once = iter([signalled])
    reached = max(one["step"] for one in statuses(runs))
    clock = once_trained(runs, 2, reached, lambda: next(once, lambda: ENDLESS)())
    assert campaign.run([*SWEEP, SLOW], clock, GRACE, None) == 130
    assert "stopped by a signal" in capfd.readouterr().out
    assert [len(one["resumed"]) for one in statuses(runs)] == [1, 1]

    packed = tmp_path / "records.tar"
    done = door("campaign.py", *SWEEP, "--minutes", "30", "--pack", str(packed))
    assert done.returncode == 0 and "sweep: 3 finished" in done.stdout, done.stdout + done.stderr
    assert "3 records packed" in done.stdout and "goes on" not in done.stdout
    assert [len(one["resumed"]) for one in statuses(runs)] == [2, 2, 0]
    wanted = {f"figure1/smoke/runs/{one['name']}/{file}" for one in statuses(runs) for file in RECORD_FILES[:3]}
    assert contents(packed) == wanted


def test_what_does_not_stop_is_killed(monkeypatch, runs, tmp_path):
    stubborn = tmp_path / "stubborn.py"
    stubborn.write_text("import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint(flush=True)\ntime.sleep(999)\n")
    monkeypatch.setattr(campaign, "TRAIN", stubborn)
    began = time.monotonic()
    assert campaign.run(["experiment=figure1/bn"], campaign.deadline(0.05, 1.4), 1.4, None) == 0
    assert 1.4 < time.monotonic() - began < 20


def test_a_sweep_does_not_outlive_its_campaign(tmp_path):
    """Even where the campaign is killed outright; its jobs then end as those of any sweep that was killed do."""
    (tmp_path / "sweep.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(999)\n")
    program = (
        f"from bnrepro import campaign; campaign.TRAIN = {str(tmp_path / 'sweep.py')!r}; campaign.begin([]).wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    sweep = psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs([sweep], timeout=20)
    assert not alive


def test_a_failure_is_the_exit_code(monkeypatch, runs, tmp_path):
    """The sweep's own when it has come to its end; and that of a run which has failed before the time was up."""
    monkeypatch.setattr(campaign, "TRAIN", tmp_path / "absent.py")
    assert campaign.run(["experiment=figure1/bn"], lambda: ENDLESS, GRACE, None) == 2
    monkeypatch.setattr(campaign, "planned", lambda folder: ["bn-s0-1"])
    (runs / "bn-s0-1").mkdir(parents=True)
    (runs / "bn-s0-1" / "status.json").write_text('{"state": "failed"}')
    assert campaign.run(["experiment=figure1/bn"], lambda: 0.0, GRACE, None) == 1


def test_limits_that_leave_nothing_are_refused(runs, tmp_path):
    with pytest.raises(UserError, match="leaves no time"):
        campaign.deadline(1.0, 30.0)
    assert 59 < campaign.deadline(1.0, 10.0)() <= 60
    with pytest.raises(UserError, match="no folder"):
        campaign.run([*SWEEP], lambda: ENDLESS, GRACE, tmp_path / "none" / "x.tar")
    assert not runs.exists()


def test_a_copy_without_git_is_told_its_commit(monkeypatch):
    monkeypatch.setattr(provenance, "_git", lambda *_: None)
    monkeypatch.setenv("BNREPRO_COMMIT", "abc")
    found = provenance.provenance.__wrapped__()
    assert (found["commit"], found["commit_dirty"]) == ("abc", None)


def test_the_door_says_it_in_one_line(door):
    done = door("campaign.py", "experiment=figure1/bnn", "scale=smoke", "--minutes", "9")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == "error: unknown experiment=figure1/bnn; did you mean figure1/bn?\n"
    done = door("campaign.py", "experiment=figure1/bn", "--minutes", "0.5")
    assert done.returncode == 2 and done.stderr.startswith("error: --minutes 0.5 leaves no time to train")
