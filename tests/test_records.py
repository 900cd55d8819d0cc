"""What is written into a run's directory and into results/, and what is not, when something goes wrong."""

import json
import os
import subprocess
from itertools import count
from pathlib import Path

import pytest

from bnrepro.config.schema import Config
from bnrepro.records import provenance
from bnrepro.records.run import RECORD_FILES, RunDirectory
from bnrepro.training import experiment
from conftest import config_of


class Killed(BaseException):
    """The process ends here."""


def record(path: Path, text: str) -> RunDirectory:
    path.mkdir(parents=True)
    for name in RECORD_FILES:
        (path / name).write_text(f"{text} {name}")
    return RunDirectory(path)


def texts(path: Path) -> list[str]:
    return [(path / name).read_text() for name in RECORD_FILES if (path / name).exists()]


def killed_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """From its ``step``-th change of the file system on, this process can do nothing more."""
    steps = count()

    def mortal(operation):
        def run(*arguments, **options):
            if next(steps) >= step:
                raise Killed
            return operation(*arguments, **options)

        return run

    for name in ("mkdir", "rename", "replace", "unlink", "rmdir"):
        patch.setattr(os, name, mortal(getattr(os, name)))


@pytest.mark.parametrize("before", [True, False], ids=["over another", "the first"])
def test_a_kill_while_publishing_leaves_a_record_and_the_next_call_completes_it(tmp_path, before):
    for step in count():
        results = tmp_path / str(step)
        source = record(results / "source" / "bn-s0-1", "new")
        target = results / "runs" / "bn-s0-1"
        if before:
            record(target, "old")
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, step)
            try:
                source.publish(target.parent)
                survived = True
            except Killed:
                survived = False
        assert len(texts(target)) == len(RECORD_FILES) or not (before or (target / "status.json").exists())
        assert RunDirectory(source.path).publish(target.parent) == target
        assert texts(target) == texts(source.path)
        if survived:
            break
    assert step > 3


def test_publishing_leaves_a_records_second_name_as_it_is(tmp_path):
    committed = record(tmp_path / "rate" / "rate-s0-1", "committed").path
    link = tmp_path / "optimizer" / "optimizer-s0-1"
    link.parent.mkdir()
    link.symlink_to(committed)
    record(tmp_path / "here" / link.name, "new").publish(link.parent)
    assert link.is_symlink() and texts(committed)[0].startswith("committed")


@pytest.fixture
def config(tmp_path) -> Config:
    places = (f"runs_dir={tmp_path / 'runs'}", f"results_dir={tmp_path / 'results'}")
    return config_of("experiment=figure1/bn", "scale=smoke", "logger.mode=disabled", "publish=true", *places)


@pytest.mark.parametrize(("state", "fails"), [("running", "acquire"), ("finished", "publish")])
def test_a_fault_before_the_lock_is_taken_writes_nothing_into_the_run(config, monkeypatch, state, fails):
    """Another process may train it, or it may be complete."""
    (name,) = experiment.run_names(config)
    path = Path(config.runs_dir) / name
    path.mkdir(parents=True)
    (path / "status.json").write_text(json.dumps({"state": state}))
    (path / "metrics.csv").write_text("step\n1\n")

    def failing(*arguments, **options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(RunDirectory, fails, failing)
    (outcome,) = experiment.run(config, "test")
    assert outcome.state == "failed" and "Input/output error" in outcome.message and "see " not in outcome.message
    texts_after = {file.name: file.read_text() for file in path.iterdir()}
    assert texts_after == {"status.json": json.dumps({"state": state}), "metrics.csv": "step\n1\n"}


def test_a_run_that_cannot_be_published_stays_complete(config, monkeypatch):
    def failing(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunDirectory, "publish", failing)
    config.training.steps = 2
    (outcome,) = experiment.run(config, "test")
    path = Path(config.runs_dir) / outcome.name
    assert outcome.state == "failed" and "No space left" in outcome.message
    assert RunDirectory(path).ended() and "No space left" in (path / "traceback.txt").read_text()


def test_a_copy_without_git_is_told_its_commit(monkeypatch):
    monkeypatch.setattr(provenance, "_git", lambda *_: None)
    monkeypatch.setenv("BNREPRO_COMMIT", "abc")
    found = provenance.provenance.__wrapped__()
    assert (found["commit"], found["commit_dirty"]) == ("abc", None)


def test_asking_git_writes_nothing_into_the_repository(monkeypatch, tmp_path):
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)

    (tmp_path / "file").write_text("one")
    git("init", "--quiet")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    os.utime(tmp_path / "file", (1, 1))  # so that git would like to refresh its index
    before = (tmp_path / ".git" / "index").read_bytes()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "file"))
    assert provenance._git("status", "--porcelain") == ""
    assert (tmp_path / ".git" / "index").read_bytes() == before
