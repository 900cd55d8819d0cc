"""A network still at chance after ``training.stop_at_chance`` of its steps ends there, and its record says so."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from bnrepro.errors import UserError
from bnrepro.records.outcome import chance_bound
from conftest import config_of
from launches import assert_same_run, trained_here

DEAD = (  # sigmoids without BN never learn; evaluated at 1, ..., 9, 10, 20, 30, 40
    *("experiment=figure2/inception_sigmoid", "scale=smoke", "logger.mode=disabled", "probe.batches=1"),
    *("scale.imagenet.steps=40", "scale.imagenet.evaluate_every=10", "scale.imagenet.probe_every=20"),
    *("data.images_per_class=30", "training.batch_size=8", "training.stop_at_chance=0.4"),
)
ALIVE = (
    *(*DEAD, "norm=bn", "model.nonlinearity=relu", "init.beta=1", "optimizer.base_lr=0.01", "model.dropout=0"),
    *("evaluation.statistics=population", "evaluation.population_batches=4", "training.stop_at_chance=0.6"),
)


def record(path: Path) -> tuple[dict, pd.DataFrame]:
    return json.loads((path / "status.json").read_text()), pd.read_csv(path / "metrics.csv", index_col="step")


@pytest.fixture(scope="module")
def dead(tmp_path_factory) -> Path:
    return trained_here(tmp_path_factory.mktemp("dead"), *DEAD)


def test_a_network_at_chance_ends_at_the_first_look_after_its_share_of_the_steps(dead):
    status, rows = record(dead)
    assert (status["state"], status["step"], status["steps"]) == ("finished", 20, 40)
    assert status["stopped"] == "at chance"
    assert rows.index[-1] == 20 and rows["val/top1"].max() < chance_bound(10, 300)
    assert set(status["final"]) == {"val/loss", "val/top1", "val/top5"}


def test_killed_before_its_last_word_it_ends_there_again(dead, tmp_path):
    again = tmp_path / dead.name
    shutil.copytree(dead, again)
    status = json.loads((again / "status.json").read_text())
    for name in ("stopped", "final", "ended"):
        del status[name]
    (again / "status.json").write_text(json.dumps(status | {"state": "running"}))
    assert trained_here(tmp_path, *DEAD) == again
    assert record(again)[0]["stopped"] == "at chance" and record(again)[0]["step"] == 20
    assert_same_run(again, dead)


def test_a_network_that_learns_goes_on_to_its_end(tmp_path):
    status, rows = record(trained_here(tmp_path, *ALIVE))
    assert rows["val/top1"].loc[:29].max() >= chance_bound(10, 300)  # else this test would ask nothing
    assert (status["step"], "stopped" in status) == (40, False)


@pytest.mark.parametrize("value", ["-0.1", "1", "1.5"])
def test_it_is_a_share_of_the_steps(value):
    with pytest.raises(UserError, match=r"training\.stop_at_chance"):
        config_of("experiment=figure2/inception", f"training.stop_at_chance={value}")
