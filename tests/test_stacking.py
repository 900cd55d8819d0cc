"""Seeds trained stacked get the weights they get alone, bit for bit, on the CPU."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bnrepro.models.stacked import join_states, split_state
from bnrepro.training import build, checkpoint, experiment
from bnrepro.training.interrupt import StopRequest
from conftest import config_of
from launches import trainer_of

CPU = torch.device("cpu")


def train(config, seeds, steps, prepare=lambda model: None):
    trainer = trainer_of(config, seeds, steps)
    prepare(trainer.model)
    trainer.train(StopRequest())
    return trainer


AFTER = "norm.placement=after optimizer.base_lr=0.1"


@pytest.mark.parametrize(
    "overrides",
    [
        "experiment=figure1/plain",
        "experiment=figure1/plain optimizer.momentum=0.9",
        "experiment=figure1/bn",
        "experiment=figure1/bn optimizer.momentum=0.9",
        f"experiment=figure1/bn {AFTER}",
        f"experiment=figure1/bn model.nonlinearity=relu {AFTER}",
        "experiment=figure1/bn norm=bn_stop_gradient",
        f"experiment=figure1/bn norm=bn_stop_gradient {AFTER}",
        "experiment=figure1/bn norm=layer_norm",
        f"experiment=figure1/bn norm=layer_norm {AFTER}",
        f"experiment=figure1/bn norm=layer_norm model.nonlinearity=relu {AFTER}",
        "experiment=figure1/bn norm=group_norm",
    ],
)
def test_a_stack_has_the_bits_of_its_networks(overrides):
    config = config_of(*overrides.split())
    assert build.stackable(config)
    stacked = train(config, [0, 1, 2, 3, 4], 100).states()
    for k in (0, 3):
        (alone,) = train(config, [k], 100).states()
        assert alone["model"].keys() == stacked[k]["model"].keys()
        for part in ("model", "optimizer"):
            for name, tensor in alone[part].items():
                assert tensor.isfinite().all() and torch.equal(tensor, stacked[k][part][name]), name
        biases = [tensor for name, tensor in alone["model"].items() if name.endswith("linear.bias")]
        assert not any((bias == 0).all() for bias in biases)


def test_what_is_measured_of_a_stacked_run_differs_in_its_last_digits_at_most(tmp_path):
    """As README says: sums over a stack are taken in another order."""

    def trained(name: str, seeds: str) -> Path:
        options = ("experiment=figure1/bn", "scale=smoke", "training.steps=100", "logger.mode=disabled")
        experiment.run(config_of(*options, f"seeds={seeds}", f"runs_dir={tmp_path / name}"), "test")
        return next((tmp_path / name).glob("bn-s1-*"))

    paths = trained("alone", "[1]"), trained("stacked", "[0,1,2,3,4]")
    alone, stacked = (torch.load(path / "checkpoint.pt", weights_only=True)["model"] for path in paths)
    assert all(torch.equal(tensor, stacked[name]) for name, tensor in alone.items())
    mine, theirs = (pd.read_csv(path / "metrics.csv", index_col="step") for path in paths)
    for name in ("train/loss", "val/loss"):
        np.testing.assert_allclose(theirs[name], mine[name], rtol=1e-5)
    for name in ("val/top1", "val/top5"):
        np.testing.assert_allclose(theirs[name], mine[name], atol=1.5e-4)  # one image of 10,000
    one, other = (np.load(path / "probes.npz")["percentiles"].astype(float) for path in paths)
    np.testing.assert_allclose(other, one, rtol=2**-10, atol=1e-4)  # float16


def test_a_diverged_neighbour_is_masked_and_harms_nobody():
    """Network 1 of three is poisoned: only it is marked, from its first bad step, and the others keep their bits."""
    config = config_of("experiment=figure1/bn")
    (alone,) = train(config, [2], 20).states()

    def poison(model):
        model.output.weight.data[1] = float("inf")

    trainer = train(config, [0, 1, 2], 20, prepare=poison)
    assert [member.diverged_at for member in trainer.members] == [None, 1, None]
    assert [len(member.rows) for member in trainer.members] == [1, 0, 1]
    for name, tensor in trainer.states()[2]["model"].items():
        assert torch.equal(tensor, alone["model"][name]), name


def test_split_and_join_are_inverse():
    config = config_of("experiment=figure1/bn")
    state = build.network(config, [0, 1, 2], CPU).state_dict()
    parts = split_state(state, 3)
    alone = build.network(config, [1], CPU).state_dict()
    assert all(torch.equal(alone[name], parts[1][name]) for name in alone)
    joined = join_states(parts)
    assert all(torch.equal(state[name], joined[name]) for name in state)


@pytest.mark.parametrize("pending", [0, 1, 2])
def test_a_stacks_checkpoints_can_be_written_at_any_step(tmp_path, pending):
    """Also right before and after a look, when there are no losses pending, or one."""
    config = config_of("experiment=figure1/plain")
    trainer = train(config, [0, 1, 2], 3)
    trainer.pending = pending
    for state in trainer.states():
        checkpoint.save(tmp_path / "checkpoint.pt", state | {"run": "a"})
        loaded = checkpoint.load(tmp_path / "checkpoint.pt", "a")
        assert torch.equal(loaded["losses"], state["losses"]) and len(loaded["losses"]) == pending


def test_arms_are_paired_by_seed():
    """The same seed draws the same initial weights in every arm, scaled by the init's std."""
    plain = build.network(config_of("experiment=figure1/plain", "init.std=0.01"), [2], CPU)
    normal = build.network(config_of("experiment=figure1/bn", "init.std=0.1"), [2], CPU)
    for layer, other in zip(plain.hidden, normal.hidden, strict=True):
        torch.testing.assert_close(10 * layer.linear.weight, other.linear.weight)
        assert layer.linear.bias is not None and other.linear.bias is None
