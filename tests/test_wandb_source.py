"""Records read from W&B are the ones on disk, by a stand-in for W&B's client."""

import csv
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from bnrepro.analysis import figure1, style
from bnrepro.analysis.load import by_variant, load_records
from bnrepro.errors import UserError
from bnrepro.records import mirror_rows, wandb_setup
from bnrepro.records.files import read_json
from conftest import ROOT

RUNS = ROOT / "results" / "figure1" / "paper" / "runs"


class FakeRun:
    """A run as ``wandb.Api`` shows it, of a record on disk; ``kept``: with the record as an artifact."""

    def __init__(self, path: Path, kept: bool):
        self.path, self.kept, self.name, self.downloads = path, kept, path.name, 0
        status = read_json(path / "status.json")
        self.id, self.group = status["wandb_id"], status["group"]
        folders = {"runs_dir": "/elsewhere", "results_dir": "results", "lr": 1.0, "commit": status["commit"]}
        self.config = yaml.safe_load((path / "config.yaml").read_text()) | folders
        self.config["data"]["root"] = "/elsewhere"
        told = ("state", "step", "steps", "seconds", "experiment", "diverged_at")
        self.summary = {key: status[key] for key in told if key in status}
        self.summary |= {f"final/{key}": value for key, value in status["final"].items()} | {"val/top1": 0.0}

    def logged_artifacts(self):
        return [SimpleNamespace(type="record", digest="d", download=self._download)] if self.kept else []

    def _download(self, root: str) -> None:
        self.downloads += 1
        shutil.copytree(self.path, root, dirs_exist_ok=True)

    def scan_history(self):
        """Every row, as the mirror sent it: what was measured and what the probes saw."""
        with open(self.path / "metrics.csv") as file:
            history = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        with np.load(self.path / "probes.npz") as arrays:
            probes = dict(arrays)
        return [{"_step": step, "_runtime": 1.0, **values} for step, values in mirror_rows.rows(history, probes)]


@pytest.fixture
def project(monkeypatch, tmp_path):
    """The runs of a W&B project ``me/bnrepro``, and a cache that is empty."""
    found: list[FakeRun] = []
    monkeypatch.setenv("BNREPRO_RUNS", str(tmp_path))
    monkeypatch.setattr(wandb_setup, "api", lambda: SimpleNamespace(runs=lambda path, **_: found))
    return found


@pytest.mark.parametrize("kept", [True, False], ids=["artifact", "history"])
def test_metrics_from_wandb_are_those_on_disk(project, kept):
    project += [FakeRun(path, kept) for path in sorted(RUNS.glob("bn-s[01]-*"))]
    ours, theirs = load_records(RUNS)[:2], load_records("wandb:me/bnrepro", figure="figure1", scale="paper")
    assert [record.path.name for record in theirs] == [record.path.name for record in ours]
    for mine, other in zip(ours, theirs, strict=True):
        assert other.metrics.equals(mine.metrics[list(other.metrics)]) and len(other.metrics.columns) > 5
        assert (other.seed, other.variant, other.group) == (mine.seed, mine.variant, mine.group)
        assert other.status["final"] == mine.status["final"]
        assert other.config == mine.config
    if not kept:
        with pytest.raises(UserError, match=r"no probes\.npz"):
            _ = theirs[0].probes
    assert not load_records("wandb:me/bnrepro", figure="figure2")


def test_the_same_function_draws_both_and_a_record_is_downloaded_once(project, tmp_path):
    project += [FakeRun(path, True) for path in sorted(RUNS.glob("*-s*"))]
    for source, name in ((RUNS, "disk"), (Path("wandb:me/bnrepro"), "wandb"), ("wandb:me/bnrepro", "again")):
        arms = by_variant(load_records(source, "figure1"), "plain", "bn")
        style.save(figure1.draw(arms["plain"], arms["bn"]), tmp_path / name, kinds=(".svg",))
    assert (tmp_path / "disk.svg").read_bytes() == (tmp_path / "wandb.svg").read_bytes()
    assert {run.downloads for run in project} == {1}


def test_runs_that_have_not_ended_are_left_out(project):
    project.append(FakeRun(next(RUNS.glob("bn-s0-*")), False))
    project[0].summary = {"step": 100}
    assert load_records("wandb:me/bnrepro") == []


def test_without_an_account_it_is_one_line(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(UserError, match="wandb login"):
        load_records("wandb:me/bnrepro")
    with pytest.raises(UserError, match="entity/project"):
        load_records("wandb:me/bn repro/x/y")
