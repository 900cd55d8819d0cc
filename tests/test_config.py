"""Every config composes and every experiment takes a real step; a run's id depends on what it should and no more."""

import functools
import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from bnrepro.config.overrides import options
from bnrepro.config.schema import Config
from bnrepro.data import mnist
from bnrepro.errors import UserError
from bnrepro.layers import norm_names
from bnrepro.records.identity import canonical, run_name
from bnrepro.training import build
from bnrepro.training.validation import TRAINING_DIGITS, typed
from conftest import CONFIGS, ROOT, config_of
from launches import TWO_STEPS, finished

NOT_OPTIONS = ("experiment", "claims", "sweep", "hydra")  # a run chooses nothing from the last three
EXPERIMENTS = options("experiment")
GROUPS = [path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name not in NOT_OPTIONS]
CHOICES = [(group, choice) for group in GROUPS for choice in options(group)]
RECORDS = sorted(ROOT.glob("results/**/runs/*/status.json"))


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_group_choice_composes(group, choice):
    needs = {"imagenet": "figure2/inception", "inception": "figure2/inception", "googlenet": "figure2/inception"}
    needs["rnn"] = "claims/recurrent"
    config_of(f"experiment={needs.get(choice, 'figure1/plain')}", f"{group}={choice}")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_names_itself_and_takes_a_real_step(name, tmp_path):
    config = config_of(f"experiment={name}", *TWO_STEPS, f"runs_dir={tmp_path}")
    assert config.experiment == name or name.endswith("_best")
    assert config.variant and config.figure
    (record,) = finished(config)
    status = json.loads((record / "status.json").read_text())
    assert status["step"] == 2 and next(iter(status["final"].values())) >= 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_opens_with_what_it_is(name):
    """The paper's row, the exact command, the expected time on named hardware, the expected number."""
    text = (CONFIGS / "experiment" / f"{name}.yaml").read_text()
    header = " ".join(line for line in text.splitlines() if line.startswith("#"))
    assert "python scripts/train.py" in header and f"experiment={name} " in f"{header} "
    for word in ("Paper:", "Command:", "Time:", "Expect:"):
        assert word in header, word


def test_norm_group_offers_every_normaliser():
    offered = {yaml.safe_load(path.read_text())["name"] for path in (CONFIGS / "norm").glob("*.yaml")}
    assert offered == set(norm_names())


def test_typed_config_has_the_papers_protocol():
    config = config_of("experiment=figure1/bn")
    assert config.model.hidden == [100, 100, 100] and config.model.nonlinearity == "sigmoid"
    assert (config.training.batch_size, config.training.steps) == (60, 50_000)
    model = build.network(config, [0], torch.device("cpu"))
    weights = 784 * 100 + 2 * 100 * 100 + 100 * 10
    assert sum(p.numel() for p in model.parameters()) == weights + 2 * 300 + 10  # gamma, beta; the output's bias


FINGERPRINT = "0" * 16


def hash_of(*overrides: str) -> str:
    return run_name(config_of("experiment=figure1/bn", *overrides), 0, FINGERPRINT)


def test_identity_ignores_where_and_how_it_runs():
    free = ("seed=3", "seeds=[1,2]", "threads=2", "publish=true", "logger.mode=disabled", "data.root=/elsewhere")
    free += ("runs_dir=/elsewhere", "checkpoint_seconds=1", "device=cuda")
    for override in free:
        assert hash_of(override) == hash_of(), override


def test_identity_sees_what_changes_the_numbers():
    changes = ("init.std=0.01", "norm.eps=1e-3", "optimizer.base_lr=7", "data.split=tune", "training.steps=9")
    changes += ("model.hidden=[100]", "norm=bn_reference", "data.binarize_above=100", "evaluation.every=10")
    names = {hash_of(override) for override in changes} | {hash_of()}
    assert len(names) == len(changes) + 1


def test_identity_is_of_values_not_of_spelling():
    assert hash_of("optimizer.base_lr=1") == hash_of("optimizer.base_lr=1.0")
    assert hash_of("optimizer.base_lr=0.1", "optimizer.lr_multiplier=3") == hash_of("optimizer.base_lr=0.3")


def test_defaults_leave_no_trace_in_the_canonical_form():
    """So a new key at its default changes no id."""
    assert json.loads(canonical(Config(), "f", 1)) == {
        "data_fingerprint": "f",
        "optimizer": {"lr": 0.1},
        "protocol": 1,
    }


@functools.cache
def _config_but_for_its_seed(text: str) -> Config:
    return typed(OmegaConf.create(text))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_committed_records_have_the_id_that_their_config_gives(path: Path):
    path = path.resolve()  # a link is a second name of a record
    status = json.loads(path.read_text())
    text, seeds = re.subn(r"^seed: \d+$", "seed: 0", (path.parent / "config.yaml").read_text(), flags=re.MULTILINE)
    assert seeds == 1
    config = _config_but_for_its_seed(text)
    assert run_name(config, status["seed"], status["data_fingerprint"], status["protocol"]) == path.parent.name
    assert status["commit"] and not status["commit_dirty"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.base_lr=fast", "optimizer.base_lr"),
        ("data.split=test", "data.split=test is not one of full, tune"),
        ("training.steps=0", "training.steps=0 must be at least 1"),
        ("training.batch_size=1", "batch statistics need m > 1"),
        ("seeds=[1,1]", "names a seed twice"),
        ("seed=-1", "seed=-1 must be at least 0"),
        ("optimizer.base_lr=-1", "optimizer.base_lr=-1.0 must be at least 0"),
        ("optimizer.base_lr=nan", "optimizer.base_lr=nan must be a finite number"),
        ("norm.eps=inf", "norm.eps=inf must be a finite number"),
        ("training.steps_multiplier=inf", "training.steps_multiplier=inf must be a finite number"),
        ("training.steps=1000000000000", "training.steps=1000000000000 must be at most 10000000000"),
        ("optimizer.momentum=2", "optimizer.momentum=2.0 must be below 1"),
        ("data.binarize_above=300", "data.binarize_above=300 must be below 255"),
        ("+augment.area=[2,3]", "augment.area=[2.0, 3.0] must be at most 1"),
        ("+augment.area=[0.5,0.1]", "augment.area=[0.5, 0.1] is not two numbers, the smaller one first"),
        ("variant=../x", "variant='../x' is no name; take up to 100 letters, digits, _, - and ."),
        ("variant=''", "variant='' is no name"),
        ("variant=.hidden", "variant='.hidden' is no name"),
        (f"variant={'x' * 101}", "is no name"),
        ("figure=../../x", "figure='..' is no name"),
        ("scale.name=a/b", "scale.name='a/b' is no name"),
        ("schedule=exponential schedule.base_every=0", "schedule.base_every=0.0 must be above 0"),
        ("model.hidden=[]", "model.hidden=[] has no layer"),
        ("model.hidden=[100,0]", "model.hidden=[100, 0] must be at least 1"),
        ("training.batch_size=100000", "training.batch_size=100000 is more than the 60,000 training images"),
        ("data.split=tune training.batch_size=501", "are more than the 50,000 training images"),
        ("norm=none probe.batches=1001", "probe.batches=1001 mini-batches of training.batch_size=60 are more"),
        ("device=gpu", "device=gpu is not one of cpu, cuda"),
        ("device=mps", "device=mps is not one of cpu, cuda"),
    ],
)
def test_bad_values_are_named(override, said):
    with pytest.raises(UserError, match=re.escape(said)):
        config_of("experiment=figure1/bn", *override.split())


def test_the_largest_batches_that_fit_are_taken():
    fit = config_of("experiment=figure1/bn", "training.batch_size=600")
    assert fit.training.batch_size * fit.evaluation.population_batches == TRAINING_DIGITS["full"]
    config_of("experiment=figure1/plain", "training.batch_size=6000")  # nothing takes statistics
    sizes = [len(mnist.read_split(ROOT / "data" / "mnist", which)[0][1]) for which in TRAINING_DIGITS]
    assert sizes == list(TRAINING_DIGITS.values())
