"""Layer and group normalisation in networks that train, fold and are exported; and adding one's own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bnrepro.errors import UserError
from bnrepro.layers import build_norm, norm_options, register, registry
from bnrepro.layers.group_norm import GroupNorm
from bnrepro.models.folded import folded
from bnrepro.models.mlp import MLP
from bnrepro.training import build
from bnrepro.training.sgd import decayed
from bnrepro.use.export import arguments
from bnrepro.use.trained import Trained
from conftest import config_of
from launches import TWO_STEPS, finished
from norms import randn

CPU = torch.device("cpu")
OTHERS = ("layer_norm", "group_norm")


class Unit(nn.Module):
    """Somebody's own: each example by its length."""

    def forward(self, x):
        return x / x.square().mean(1, keepdim=True).sqrt()


@pytest.fixture
def unit():
    register("unit")(lambda num_features, *, spatial, eps, ema_decay, affine: Unit())
    yield "unit"
    del registry._BUILDERS["unit"]


def test_a_normaliser_that_knows_nothing_of_stacks_gets_one_network(unit, rng):
    """It sees (N, C), and its seeds train one after the other."""
    model = MLP([4, 6, 2], lambda c: build_norm("unit", c))
    x = randn(rng, 6, 5)[None]
    torch.testing.assert_close(model.hidden[0].norm(x)[0], x[0] / x[0].square().mean(0).sqrt())
    assert not build.stackable(config_of("experiment=figure1/bn", "norm.name=unit"))
    with pytest.raises(ValueError, match="cannot tell 2 networks apart"):
        MLP([4, 6, 2], lambda c: build_norm("unit", c), stack=2)


def two_steps(runs: Path, *overrides: str) -> list[dict]:
    """The statuses of runs of two steps."""
    records = finished(config_of(*overrides, *TWO_STEPS, f"runs_dir={runs}"))
    return [json.loads((record / "status.json").read_text()) for record in records]


@pytest.mark.parametrize("norm", OTHERS)
@pytest.mark.parametrize("where", ["figure1/bn", "figure2/bn_x5", "googlenet/bn"])
def test_every_network_takes_real_steps_with_it(norm, where, tmp_path):
    (status,) = two_steps(tmp_path, f"experiment={where}", f"norm={norm}")
    assert not [name for name in status["final"] if name.endswith("moving_average")]  # there are no statistics to take
    with np.load(tmp_path / status["name"] / "probes.npz") as arrays:
        assert {"percentiles", "percentiles_before"} <= set(arrays.files)
    state = torch.load(tmp_path / status["name"] / "checkpoint.pt", weights_only=True)
    assert not state["statistics"]


def test_seeds_of_an_unstackable_normaliser_train_one_after_the_other(unit, tmp_path):
    statuses = two_steps(tmp_path, "experiment=figure1/bn", "norm.name=unit", "seeds=[0,1]")
    assert [status["stacked_with"] for status in statuses] == [1, 1]


@pytest.mark.parametrize("norm", OTHERS)
def test_bfloat16_leaves_what_they_keep_in_float32(norm):
    config = config_of("experiment=figure2/bn_x5", f"norm={norm}", "scale=smoke", "training.precision=bfloat16")
    task = build.task(config, build.dataset(config, CPU), [0], CPU)
    loss = task.loss(*task.batch([0], 0))
    loss.sum().backward()
    assert loss.isfinite().all() and {p.grad.dtype for p in task.model.parameters()} == {torch.float32}


def test_l2_spares_what_a_normaliser_learns():
    """Whatever its class and the shape of its parameters."""
    for norm in ("layer_norm", "group_norm", "bn", "per_activation"):
        config = config_of("experiment=figure2/bn_x5", f"norm={norm}", "scale=smoke")
        model = build.network(config, [0], CPU, 10)
        weights = {id(m.weight) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        assert {id(p) for p in decayed(model, 1e-4)[0]["params"]} == weights


def test_bn_folds_and_group_norm_stays():
    images = torch.randn(4, 3, 32, 32)
    for norm, left in (("bn", False), ("group_norm", True)):
        model = build.network(config_of("experiment=figure2/bn_x5", f"norm={norm}", "scale=smoke"), [0], CPU, 10)
        model.train()(images)
        small = folded(model)
        assert any("norm" in name for name in small.state_dict()) == left
        torch.testing.assert_close(small(images), model.eval()(images), rtol=1e-4, atol=1e-5)


def test_own_options_come_from_the_configuration():
    config = config_of("experiment=figure2/bn_x5", "norm=group_norm", "norm.groups=4", "scale=laptop")
    groups = {layer.groups for layer in build.network(config, [0], CPU, 50).modules() if isinstance(layer, GroupNorm)}
    assert groups == {4}
    assert norm_options("bn") == set() and norm_options("group_norm") == {"groups"}
    with pytest.raises(UserError, match="norm=bn has no option groups"):
        build_norm("bn", 3, groups=4)
    with pytest.raises(UserError, match=r"norm=bn has no norm\.groups; leave it at 32"):
        config_of("experiment=figure1/bn", "+norm.groups=4")
    with pytest.raises(UserError, match=r"norm=group_norm has no norm\.r_max; leave it at 3"):
        config_of("experiment=figure1/bn", "norm=group_norm", "+norm.r_max=2")


@pytest.mark.parametrize("where", ["figure2/bn_x5", "googlenet/bn"])
@pytest.mark.parametrize(
    "options", [("norm=group_norm", "norm.groups=4"), ("norm.placement=after",), ("norm.affine=false",)]
)
def test_an_export_is_the_same_network(where, options):
    import timm  # after bnrepro.use.export, which makes it importable

    config = config_of(f"experiment={where}", "scale=smoke", *options)
    model, images = build.network(config, [0], CPU, 10), torch.randn(4, 3, 32, 32)
    for _ in range(3):
        model.train()(images)
    name, options = arguments(Trained("", config, {}, model, [], ""))
    again = timm.create_model(name, num_classes=10, **options)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.eval()(images), model.eval()(images), rtol=1e-4, atol=1e-5)
