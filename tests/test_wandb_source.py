"""Records read from W&B are the ones on disk, by a stand-in for W&B's client."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from bnrepro.analysis.figures import figure1
from bnrepro.analysis.figures.figure4 import FILES
from bnrepro.analysis.reading.load import by_variant, load_records
from bnrepro.analysis.render import style
from bnrepro.cli import notebooks
from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from bnrepro.tracking import wandb_setup
from conftest import ROOT

RESULTS = ROOT / "results"
RUNS = RESULTS / "figure1" / "paper" / "runs"


class FakeRun:
    """A run as ``wandb.Api`` shows it, of a record on disk that it keeps as an artifact once it has ended."""

    def __init__(self, path: Path, ended: bool = True):
        self.path, self.ended, self.name, self.downloads = path, ended, path.name, 0
        self.config = yaml.safe_load((path / "config.yaml").read_text())

    def logged_artifacts(self):
        return [SimpleNamespace(type="record", digest="d", download=self._download)] if self.ended else []

    def _download(self, root: str, skip_cache: bool) -> None:
        self.downloads += 1
        shutil.copytree(self.path, root, dirs_exist_ok=True)


@pytest.fixture
def project(monkeypatch, tmp_path):
    """The runs of a W&B project ``me/bnrepro``, and a cache that is empty."""
    found: list[FakeRun] = []
    monkeypatch.setenv("BNREPRO_RUNS", str(tmp_path))
    monkeypatch.setattr(wandb_setup, "api", lambda runs_dir: SimpleNamespace(runs=lambda path, **_: found))
    return found


def test_records_from_wandb_are_those_on_disk(project):
    project += [FakeRun(path) for path in sorted(RUNS.glob("bn-s[01]-*"))]
    ours, theirs = load_records(RUNS)[:2], load_records("wandb:me/bnrepro", figure="figure1", scale="paper")
    assert [record.path.name for record in theirs] == [record.path.name for record in ours]
    for mine, other in zip(ours, theirs, strict=True):
        assert other.metrics.equals(mine.metrics) and len(other.metrics.columns) > 5
        assert (other.status, other.config) == (mine.status, mine.config)
        assert all((other.probes[name] == array).all() for name, array in mine.probes.items())
    assert not load_records("wandb:me/bnrepro", figure="figure2")


def test_the_same_function_draws_both_and_a_record_is_downloaded_once(project, tmp_path):
    project += [FakeRun(path) for path in sorted(RUNS.glob("*-s*"))]
    for source, name in ((RUNS, "disk"), (Path("wandb:me/bnrepro"), "wandb"), ("wandb:me/bnrepro", "again")):
        arms = by_variant(load_records(source, "figure1"), "plain", "bn")
        style.save(figure1.draw(arms), tmp_path / name, kinds=(".svg",))
    assert (tmp_path / "disk.svg").read_bytes() == (tmp_path / "wandb.svg").read_bytes()
    assert {run.downloads for run in project} == {1}


@pytest.fixture
def told(monkeypatch) -> list[Any]:
    """What notebooks display: the text of tables, the lines of figures."""
    shown: list[Any] = []

    def display(thing: Any) -> None:
        lines = [line for axes in getattr(thing, "axes", []) for line in axes.lines]
        shown.append([line.get_xydata().tolist() for line in lines] or getattr(thing, "data", None) or str(thing))

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.chdir(ROOT)  # where notebooks go themselves; and back
    return shown


def run_notebook(name: str, count: int | None = None, **parameters: str) -> dict[str, Any]:
    """The variables that the first so many code cells of a notebook leave, with these parameters."""
    script, left = ROOT / "notebooks" / f"{name}.py", {}
    cells = [cell for cell in notebooks.load(script).cells if cell.cell_type == "code"]
    assert cells[0].metadata["tags"] == ["parameters"]
    for cell in cells[:count]:
        code = "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))
        exec(compile(code, script.name, "exec"), left)
        if cell is cells[0]:
            assert left.keys() >= {"source", "scale"}
            left |= parameters
    return left


class FakeEvaluation:
    """An evaluation as ``wandb.Api`` shows it, of the files in a folder."""

    def __init__(self, folder: Path):
        self.folder, self.name = folder, f"figure4-{folder.name}"
        self.config = {"scale": {"name": folder.name}}

    def logged_artifacts(self):
        return [SimpleNamespace(type="evaluation", digest="e", download=self._download)]

    def _download(self, root: str, skip_cache: bool) -> None:
        for name in FILES:
            shutil.copyfile(self.folder / name, Path(root) / name)


@pytest.mark.parametrize(("name", "count"), [("figure1", None), ("figure2_3", None), ("figure4", 3)])
def test_a_notebook_shows_the_same_of_wandb_as_of_the_committed_records(project, told, name, count):
    for figure in {"figure2_3": ("figure2", "figure2_tuning")}.get(name, (name, f"{name}_tuning")):
        project += [FakeRun(path) for path in sorted(RESULTS.glob(f"{figure}/*/runs/*"))]
    project += [FakeEvaluation(RESULTS / "figure4" / "laptop")]
    run_notebook(name, count, source="results")
    ours = told.copy()
    told.clear()
    left = run_notebook(name, count, source="wandb:me/bnrepro")
    read = left["networks"] if name == "figure4" else [record for arm in left["arms"].values() for record in arm]
    assert len(read) >= 5 and all(".records/me--bnrepro" in str(record.path) for record in read)
    assert str(told) == str(ours) and len(ours) >= 1


def test_the_notebook_of_claims_judges_the_records_of_wandb(project, told):
    project += [FakeRun(path) for path in sorted(RESULTS.glob("claims/inside/mini/runs/*"))]
    left = run_notebook("claims", 4, source="wandb:me/bnrepro")
    records = left["ledger"].records
    assert len(records.of_experiment("inside")) == len(project) and not records.of_experiment("depth")
    committed = {row["id"]: row["ours"] for row in read_json(RESULTS / "claims.json")}
    for claim, parts in (("C04", 2), ("C10", 3)):  # the parts that these records alone decide
        mine = left["ledger"].rows[claim]["ours"][:parts]
        assert [part["values"] for part in mine] == [part["values"] for part in committed[claim][:parts]]
    assert told and left["ledger"].rows["C25"]["verdict"] == "untested"
    values, estimate = left["ledger"].effect("C04", "one network")
    assert values == pytest.approx(committed["C04"][0]["values"], rel=1e-5) and estimate.n == len(values) == 5
    assert len(left["ledger"].effect("C04", "deeper networks")[0]) == 0  # its runs are not in the project


def test_runs_that_have_not_ended_and_evaluations_are_left_out(project):
    project.append(FakeRun(next(RUNS.glob("bn-s0-*")), ended=False))
    project.append(FakeEvaluation(RESULTS / "figure4" / "laptop"))
    assert load_records("wandb:me/bnrepro") == load_records("wandb:me/bnrepro", scale="laptop") == []


def test_without_an_account_it_is_one_line(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(UserError, match="wandb login"):
        load_records("wandb:me/bnrepro")
    with pytest.raises(UserError, match="entity/project"):
        load_records("wandb:me/bn repro/x/y")
