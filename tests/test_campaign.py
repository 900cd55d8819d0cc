"""A campaign on the CPU: it stops in time and saves, goes on, repeats nothing, names what failed, packs records."""

import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from bnrepro import campaign
from bnrepro.errors import UserError
from bnrepro.records import provenance
from bnrepro.records.run import RECORD_FILES
from bnrepro.status import find, last_sweep
from conftest import ROOT

SHORT = ("scale.mnist.steps=2000", "evaluation.population_batches=2", "probe=none")
ENDLESS, GRACE = float("inf"), 30.0


@pytest.fixture
def runs(monkeypatch, environment) -> Path:
    """The runs directory, for campaigns in this process."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("BNREPRO_RUNS", environment["BNREPRO_RUNS"])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return Path(environment["BNREPRO_RUNS"])


def plan(*words: str, seeds: str = "0") -> list[campaign.Job]:
    return campaign.plan([*words, *SHORT], seeds, "smoke", "cpu")


def status_of(job: campaign.Job) -> dict:
    return job.directory.status()


def contents(packed: Path) -> set[str]:
    with tarfile.open(packed) as tar:
        return set(tar.getnames())


def once_trained(jobs: list[campaign.Job], steps: int, then: Callable[[], float]) -> Callable[[], float]:
    """A clock that has all the time until each of these runs has got that far in this call."""
    return lambda: then() if all(status_of(job).get("step", 0) > steps for job in jobs) else ENDLESS


def test_it_stops_in_time_goes_on_and_repeats_nothing(runs, capfd, door, tmp_path):
    """Three runs, two at a time: stopped by the clock, then by a signal, then finished from the command line."""
    jobs = plan("figure1/bn", "checkpoint_seconds=0", seeds="0,1,2")  # slow: it saves after every step
    began = jobs[:2]
    assert campaign.run(jobs, 2, once_trained(began, 0, lambda: GRACE - 1), GRACE, tmp_path / "first.tar") == 0
    told = capfd.readouterr().out
    assert "campaign: 3 runs, 0 of them ended before; 2 side by side" in told
    assert "campaign: 2 interrupted, 1 not begun" in told and f"left: {', '.join(job.name for job in jobs)}; " in told
    assert "0 records packed" in told and not contents(tmp_path / "first.tar")
    assert [status_of(job).get("state") for job in jobs] == ["interrupted", "interrupted", None]

    def signalled() -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return ENDLESS

    once = iter([signalled])
    reached = max(status_of(job)["step"] for job in began)
    clock = once_trained(began, reached, lambda: next(once, lambda: ENDLESS)())
    assert campaign.run(jobs, 2, clock, GRACE, None) == 130
    assert "campaign: 2 interrupted, 1 not begun" in capfd.readouterr().out
    assert all(len(status_of(job)["resumed"]) == 1 for job in began)

    packed = tmp_path / "records.tar"
    arguments = (*SHORT, "--seeds", "0,1,2", "--scale", "smoke", "--device", "cpu", "--side-by-side", "2")
    done = door("campaign.py", "figure1/bn", *arguments, "--minutes", "30", "--pack", str(packed))
    assert done.returncode == 0 and "campaign: 3 finished" in done.stdout, done.stdout + done.stderr
    assert "left" not in done.stdout.splitlines()[-1] and "3 records packed" in done.stdout
    assert [len(status_of(job)["resumed"]) for job in jobs] == [2, 2, 0]
    line = next(line for line in done.stdout.splitlines() if line.startswith(jobs[0].name) and "2,000/2,000" in line)
    name, state, _, top1, seconds, unit = line.split()
    assert (name, state, unit) == (jobs[0].name, "finished", "s") and 0 < float(top1) <= 1 and float(seconds) >= 0
    wanted = {f"{job.name}/{file}" for job in jobs for file in RECORD_FILES if file != "probes.npz"}
    assert contents(packed) == wanted

    before = [job.directory.path.joinpath("status.json").stat().st_mtime_ns for job in jobs]
    assert campaign.run(jobs, 2, lambda: ENDLESS, GRACE, None) == 0
    assert "3 of them ended before" in capfd.readouterr().out
    assert [job.directory.path.joinpath("status.json").stat().st_mtime_ns for job in jobs] == before
    told = last_sweep(runs, list(find(runs, tmp_path)))
    assert told["runs"] == 3 and not told["lacking"]


def test_what_fails_is_named_and_does_not_stop_the_rest(runs, capfd):
    """One run cannot go on (its history is a folder), one cannot be taken up (a bad checkpoint), one is sound."""
    jobs = plan("figure1/bn", "scale.mnist.steps=20", seeds="0,1,2")
    (runs / jobs[0].name / "metrics.csv").mkdir(parents=True)
    (runs / jobs[1].name).mkdir(parents=True)
    (runs / jobs[1].name / "checkpoint.pt").write_text("broken")
    assert campaign.run(jobs, 3, lambda: ENDLESS, GRACE, None) == 1
    told = capfd.readouterr().out
    assert f"failed: {jobs[0].name} (IsADirectoryError" in told and f"failed: {jobs[1].name} (exit code 2)" in told
    assert "is corrupt" in told and "campaign: 1 failed, 1 finished, 1 not begun" in told


def test_what_another_process_holds_is_left_to_it(runs, capfd):
    jobs = plan("figure1/bn")
    jobs[0].directory.create()
    with filelock.FileLock(runs / jobs[0].name / "lock"):
        left = iter([ENDLESS] * 8)
        assert campaign.run(jobs, 1, lambda: next(left, 0.0), GRACE, None) == 0
    assert f"left: {jobs[0].name}; the same command goes on" in capfd.readouterr().out
    assert not list(runs.rglob("job.yaml"))


def test_what_is_begun_goes_first_and_the_rest_seed_by_seed(runs):
    jobs = plan("figure1/plain", "figure1/bn", seeds="0,1,2")
    assert [(job.config.variant, job.config.seed) for job in jobs] == [
        (variant, seed) for seed in (0, 1, 2) for variant in ("plain", "bn")
    ]
    for k, state, step in ((1, "interrupted", 10), (2, "finished", 2000), (4, "interrupted", 1500), (5, "running", 0)):
        jobs[k].directory.create()
        jobs[k].directory.update(state=state, step=step, steps=2000)
    assert campaign.in_order(jobs) == [jobs[k] for k in (4, 1, 0, 3, 5)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("figure1/bn", "figure1/plian"), "unknown experiment=figure1/plian; did you mean figure1/plain?"),
        (("figure1/bn", "seed=1"), "use --seeds"),
        (("probe=none",), "which experiments?"),
        (("figure1/bn", "data.split=full,test"), "data.split=test is not one of"),
    ],
)
def test_slips_are_refused_before_anything_starts(runs, words, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        campaign.plan(list(words), "0", "smoke", "cpu")
    assert not runs.exists()


def test_limits_that_leave_nothing_are_refused(runs, tmp_path):
    with pytest.raises(UserError, match="leaves no time"):
        campaign.deadline(1.0, 30.0)
    assert 59 < campaign.deadline(1.0, 10.0)() <= 60
    jobs = plan("figure1/bn")
    for side_by_side, out in ((0, None), (1, tmp_path / "none" / "x.tar")):
        with pytest.raises(UserError):
            campaign.run(jobs, side_by_side, lambda: ENDLESS, GRACE, out)
    assert not runs.exists()


def test_a_copy_without_git_is_told_its_commit(monkeypatch):
    monkeypatch.setattr(provenance, "_git", lambda *_: None)
    monkeypatch.setenv("BNREPRO_COMMIT", "abc")
    found = provenance.provenance.__wrapped__()
    assert (found["commit"], found["commit_dirty"]) == ("abc", None)


def test_the_door_says_it_in_one_line(door):
    done = door("campaign.py", "figure1/bnn", "--scale", "smoke", "--device", "cpu")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == "error: unknown experiment=figure1/bnn; did you mean figure1/bn?\n"
