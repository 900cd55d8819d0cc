"""Runs and their networks from Python: what a run directory and results/ hold, by path and by name."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import bnrepro
from bnrepro.config.schema import Config
from bnrepro.data import mnist
from bnrepro.errors import UserError
from bnrepro.training import build
from conftest import ROOT
from launches import trained_here

SMALL = ("experiment=figure1/bn", "scale=smoke", "training.steps=60", "logger.mode=disabled")
COMMITTED = sorted((ROOT / "results" / "figure1" / "paper" / "runs").glob("bn-s0-*"))[0]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return trained_here(tmp_path_factory.mktemp("runs"), *SMALL)


def test_a_run_has_what_its_directory_holds(path):
    run = bnrepro.load_run(path)
    assert (run.name, run.status["state"]) == (path.name, "finished")
    assert isinstance(run.config, Config) and run.config.training.total_steps == 60
    assert run.metrics.index[-1] == 60
    assert run.metrics["val/top1"].iloc[-1] == pytest.approx(run.status["final"]["val/top1"], rel=1e-5)
    assert run.probes["percentiles"].shape == (len(run.probes["steps"]), 300, 3)


def test_a_runs_network_is_the_one_that_was_evaluated(path):
    """On the test images, as pictures, it has the accuracy that the record says."""
    run = bnrepro.load_run(str(path))
    model = run.model()
    assert not model.training and {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    _, (images, labels) = mnist.read_split(ROOT / "data" / "mnist", "full")
    pictures = torch.tensor(images).float()[:, None].expand(-1, 3, -1, -1) / 127.5 - 1
    with torch.no_grad():
        top1 = (model(pictures).argmax(1).numpy() == labels).mean()
    assert top1 == pytest.approx(run.status["final"]["val/top1"])


def test_a_run_is_found_by_its_name_here_and_among_the_results(path, monkeypatch):
    monkeypatch.setenv("BNREPRO_RUNS", str(path.parent))
    assert bnrepro.load_run(path.name).path == path
    assert bnrepro.load_run(COMMITTED.name).path == COMMITTED
    with pytest.raises(UserError, match="no run is called bn-s0-nowhere"):
        bnrepro.load_run("bn-s0-nowhere")
    with pytest.raises(UserError, match="names 2 runs"):
        bnrepro.load_run(f"{COMMITTED.parent}/bn-s[01]-*")


def test_a_name_of_several_records_is_refused_and_a_link_is_no_other_record(tmp_path, monkeypatch):
    records = [tmp_path / figure / "paper" / "runs" / COMMITTED.name for figure in ("figure1", "figure1_check")]
    for record in records:
        shutil.copytree(COMMITTED, record)
    link = tmp_path / "claims" / "paper" / "runs" / COMMITTED.name
    link.parent.mkdir(parents=True)
    link.symlink_to(records[0])
    monkeypatch.setattr("bnrepro.use.runs.RESULTS", tmp_path)
    with pytest.raises(UserError, match=f"names 2 runs; name one by its directory: .*{records[1]}"):
        bnrepro.load_run(COMMITTED.name)
    assert bnrepro.load_run(records[1]).path == records[1]
    shutil.rmtree(records[1])
    assert bnrepro.load_run(COMMITTED.name).path.resolve() == records[0]


def test_a_committed_record_has_numbers_and_says_how_to_get_its_network():
    runs = bnrepro.load_results("figure1", scale="paper")
    assert [run.path for run in runs] == sorted(COMMITTED.parent.iterdir())
    (run,) = [run for run in runs if run.path == COMMITTED]
    assert np.isfinite(run.metrics["val/top1"]).all() and build.of_digits(run.config)
    with pytest.raises(UserError, match=r"without a checkpoint; .* python scripts/train\.py experiment=figure1/bn"):
        run.model()
    assert bnrepro.load_results("claims/depth", "mini")
    with pytest.raises(UserError, match="did you mean figure1/paper"):
        bnrepro.load_results("figure1", "papre")


def test_an_unfinished_run_has_no_network_yet(path, tmp_path):
    unfinished = tmp_path / path.name
    unfinished.mkdir()
    (unfinished / "checkpoint.pt").touch()
    text = (path / "status.json").read_text().replace('"finished"', '"interrupted"')
    (unfinished / "status.json").write_text(text)
    with pytest.raises(UserError, match="is interrupted at step 60"):
        bnrepro.load_run(unfinished).model()


def test_importing_the_package_loads_neither_torch_nor_pandas():
    program = "import sys, bnrepro; dir(bnrepro); assert not {'torch', 'pandas', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert {"load_run", "load_results", "Run"} <= set(dir(bnrepro))
    with pytest.raises(AttributeError, match="no attribute 'load_nothing'"):
        bnrepro.load_nothing  # noqa: B018
