"""Named sweeps: configs/sweep lists exactly the runs that the paper's figures and the ledger are made of."""

import json
from pathlib import Path

import pytest
from omegaconf.errors import OmegaConfBaseException

from bnrepro.config.overrides import options
from bnrepro.data import load
from bnrepro.errors import UserError
from bnrepro.sweeps import jobs
from bnrepro.sweeps.jobs import Job
from bnrepro.training.validation import typed
from conftest import CONFIGS, ROOT, compose_config
from fake_sweeps import master

FINGERPRINTS = {"mnist": "figure1/paper", "tiny_imagenet": "claims/x5/mini"}


def planned(*overrides: str) -> list[Job]:
    with master(*overrides) as config:
        return jobs.plan(config, config.hydra.sweeper.grids)


def names(*overrides: str) -> set[str]:
    return {name for job in planned(*overrides) for name in job.names}


def committed(*folders: str) -> set[str]:
    return {path.name for folder in folders for path in (ROOT / "results").glob(f"{folder}/runs/*")}


@pytest.fixture(autouse=True)
def no_data_needed(monkeypatch):
    def known(folder: str) -> str:
        status = next((ROOT / "results" / folder / "runs").glob("*/status.json"))
        return json.loads(Path(status).read_text())["data_fingerprint"]

    prints = {name: known(folder) for name, folder in FINGERPRINTS.items()}
    monkeypatch.setattr(load, "fingerprint", lambda data: prints[data.name])


def test_figure_1_is_what_is_committed():
    assert names("sweep=figure1") < committed("figure1/paper")
    assert names("sweep=figure1_readings") == committed("figure1/paper", "figure1_check/paper")
    assert {job.config.figure for job in planned("sweep=figure1_readings")} == {"figure1", "figure1_check"}


def test_figures_2_and_3_are_made_of_what_their_sweeps_train():
    of_sweeps = [names(f"sweep={part}", "scale=laptop") for part in ("figure2", "figure2_controls", "googlenet")]
    assert [len(of_sweep) for of_sweep in of_sweeps] == [9 * 5 + 6 * 5, 6 * 5 + 2, 2 * 3]
    assert committed("figure2/laptop") <= set.union(*of_sweeps)
    tuning = [names(f"sweep={part}", "scale=laptop") for part in ("figure2_base_rate", "figure2_ladder")]
    assert committed("figure2_tuning/laptop") <= set.union(*tuning)
    ladder = names("sweep=figure2_ladder", "scale=laptop", "training.precision=tf32")
    assert names("sweep=figure2_gpu", "scale=laptop") < set.union(*of_sweeps, ladder)


def test_figure_4_is_six_networks_with_six_seeds():
    """Not a product of anything."""
    assert len(names("sweep=figure4", "scale=laptop")) == 6


def test_the_ledger_is_made_of_what_the_claims_sweep_trains():
    assert committed("claims/*/mini") <= names("sweep=claims")


def test_what_is_typed_has_its_way():
    planned_jobs = planned("sweep=figure1_readings", "experiment=figure1/bn", "seeds=[7]", "scale=smoke")
    assert [job.names for job in planned_jobs] == [planned_jobs[0].names] and planned_jobs[0].config.seeds == [7]
    overrides = planned_jobs[0].overrides
    assert "scale=smoke" in overrides and not any("sweep" in override for override in overrides)


def test_an_interpolation_is_resolved_in_each_job():
    planned_jobs = planned("experiment=figure1/bn", "norm=layer_norm,group_norm", "variant=${norm.name}", "scale=smoke")
    assert [job.config.variant for job in planned_jobs] == [job.config.norm.name for job in planned_jobs] == [
        "layer_norm", "group_norm"
    ]  # fmt: skip


def test_grids_follow_each_other_and_a_run_is_planned_once():
    with master("experiment=figure1/bn", "scale=smoke") as config:
        grids = [{"seed": "0,1", "norm.eps": "1e-3"}, {"seed": "1,2", "norm.eps": "1e-3,1e-2"}]
        planned_jobs = jobs.plan(config, grids)
        assert len(jobs.expand(config.hydra.overrides.task, grids)) == 6
    assert [(job.config.seed, job.config.norm.eps) for job in planned_jobs] == [
        (0, 1e-3), (1, 1e-3), (1, 1e-2), (2, 1e-3), (2, 1e-2)
    ]  # fmt: skip


def test_jobs_that_share_their_files_are_what_hydra_composes():
    files, values = ("experiment=figure1/bn", "scale=smoke"), (("seed=1", "norm.eps=1e-3"), ("scale.mnist.steps=7",))
    composed = [typed(compose_config(*files, *own)) for own in values]
    with master() as config:
        composer = jobs.Composer(config)
        assert [composer.job((*own, *files)).config for own in values] == composed
        with pytest.raises(OmegaConfBaseException, match="stepz"):
            composer.job((*files, "scale.mnist.stepz=7"))


def test_a_slip_in_the_last_grid_is_found_before_anything_starts():
    with master("experiment=figure1/bn") as config, pytest.raises(UserError, match=r"data\.split=test"):
        jobs.plan(config, [{"seed": "0"}, {"data.split": "test"}])


def test_a_sweep_of_nothing_says_why():
    with master("experiment=glob(figure1/*n)") as config, pytest.raises(UserError, match="list the experiments"):
        jobs.plan(config)


@pytest.mark.parametrize("name", options("sweep"))
def test_every_named_sweep_says_what_it_is(name):
    text = (CONFIGS / "sweep" / f"{name}.yaml").read_text()
    assert text.startswith("# @package hydra.sweeper\n# ") and f"python scripts/train.py -m sweep={name} " in text
