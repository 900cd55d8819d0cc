"""Layer, group and batch renormalisation against PyTorch's layers and the papers' formulas; and adding one's own."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from bnrepro import build, experiment
from bnrepro.errors import UserError
from bnrepro.evaluation.population import batch_norms, moving_average, population_statistics
from bnrepro.export import arguments
from bnrepro.layers import build_norm, norm_options, register, registry
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.batch_renorm import BatchRenorm
from bnrepro.layers.group_norm import GroupNorm, divide
from bnrepro.models.folded import folded
from bnrepro.models.mlp import MLP
from bnrepro.models.stacked import StackedNorm
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.loop import Member, Trainer
from bnrepro.training.sgd import decayed
from bnrepro.validation import typed
from conftest import compose_config

CPU = torch.device("cpu")
NEW = ("layer_norm", "group_norm", "batch_renorm")
EPS = 1e-3
NO_EPS = 1e-300  # PyTorch wants a positive one; in float64 this adds nothing to a variance


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def randn(rng: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def trained_a_little(norm: nn.Module, rng: torch.Generator) -> nn.Module:
    """With gamma and beta that are not 1 and 0."""
    norm = norm.double()
    norm.weight.data, norm.bias.data = randn(rng, norm.num_features), randn(rng, norm.num_features)
    return norm


@pytest.mark.parametrize(("features", "groups"), [(64, 16), (12, 3), (30, 3)])
@pytest.mark.parametrize("maps", [(), (5, 3)])
def test_group_norm_is_torchs(rng, features, groups, maps):
    norm = trained_a_little(build_norm("group_norm", features, spatial=maps, eps=EPS, groups=groups), rng)
    theirs = nn.GroupNorm(groups, features, eps=EPS).double()
    theirs.load_state_dict(norm.state_dict())
    x = 3 * randn(rng, 7, features, *maps) + 1
    torch.testing.assert_close(norm(x), theirs(x))
    assert torch.equal(norm.train()(x), norm.eval()(x))


def test_layer_norm_is_torchs(rng):
    """Over the features of dense activations; over C, H and W of maps, with gamma and beta one a map."""
    norm = trained_a_little(build_norm("layer_norm", 10, eps=EPS), rng)
    x = 3 * randn(rng, 7, 10) + 1
    torch.testing.assert_close(norm(x), nn.functional.layer_norm(x, [10], norm.weight, norm.bias, EPS))
    x = 3 * randn(rng, 7, 10, 4, 5) + 1
    plain = nn.functional.layer_norm(x, [10, 4, 5], eps=EPS)
    torch.testing.assert_close(norm(x), plain * norm.weight.view(10, 1, 1) + norm.bias.view(10, 1, 1))


def test_layer_and_group_norm_by_hand():
    x = torch.tensor([[1.0, 2.0, 3.0, 6.0, 0.0, 0.0, 0.0, 8.0]], dtype=torch.float64)
    layer = build_norm("layer_norm", 8, eps=0.0, affine=False)
    assert layer(x)[0, :2].tolist() == pytest.approx([-1.5 / 8**0.5, -0.5 / 8**0.5])  # mean 2.5, variance 8
    group = build_norm("group_norm", 8, groups=2, eps=0.0, affine=False)
    assert group(x)[0, 4:].tolist() == pytest.approx([-1 / 3**0.5] * 3 + [3**0.5])  # mean 2, variance 12


def test_numbers_of_groups():
    """The largest divisor not above the number wanted that leaves four values in a group."""
    maps = {64: 32, 100: 25, 48: 24, 97: 1, 16: 16, 8: 8}
    assert {features: divide(features, 32, positions=16) for features in maps} == maps
    dense = {128: 32, 100: 25, 64: 16, 20: 5, 6: 1, 2: 1}
    assert {features: divide(features, 32) for features in dense} == dense
    with pytest.raises(UserError, match=r"norm\.groups=0 must be at least 1"):
        build_norm("group_norm", 8, groups=0)


def test_an_examples_output_does_not_depend_on_its_batch(rng):
    for name in ("layer_norm", "group_norm"):
        norm = trained_a_little(build_norm(name, 64, spatial=(3, 3)), rng)
        x = randn(rng, 9, 64, 3, 3)
        torch.testing.assert_close(norm(x)[2:3], norm(x[2:3]), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["layer_norm", "group_norm"])
def test_layer_and_group_norm_pass_gradcheck(rng, name):
    norm = build_norm(name, 8, spatial=(2, 3), eps=EPS, **({"groups": 2} if name == "group_norm" else {})).double()
    arguments = [randn(rng, *shape).requires_grad_() for shape in ((3, 8, 2, 3), (8,), (8,))]

    def function(x, gamma, beta):
        return torch.func.functional_call(norm, {"weight": gamma, "bias": beta}, x)

    assert torch.autograd.gradcheck(function, arguments)


def renorm(features: int = 5, **options) -> BatchRenorm:
    return build_norm("batch_renorm", features, eps=EPS, **({"warmup": 0.0} | options)).double()


def at(norm: BatchRenorm, mean: torch.Tensor, variance: torch.Tensor) -> BatchRenorm:
    """With these moving averages."""
    for name, value in (("mean", mean), ("var", variance)):
        getattr(norm, f"running_{name}").copy_(value), getattr(norm, f"moving_{name}").copy_(value)
    return norm


@pytest.mark.parametrize("shape", [(60, 5), (8, 5, 7, 3), (1, 5, 60)])
def test_batch_renorm_without_room_is_batch_norm_to_the_bit(rng, shape):
    """r_max = 1 and d_max = 0, and the first steps of every schedule."""
    norms = [renorm(r_max=1, d_max=0), renorm(warmup=1.0), BatchNorm(5, eps=EPS, momentum=0.1).double()]
    norms[0].load_state_dict(trained_a_little(norms[1], rng).state_dict())
    norms[2].load_state_dict(norms[0].state_dict(), strict=False)
    for _ in range(3):
        x, dy = 3 * randn(rng, *shape) + 1, randn(rng, *shape)
        results = []
        for norm in norms:
            u = x.clone().requires_grad_()
            norm.zero_grad()
            y = norm(u)
            y.backward(dy)
            results.append([y, u.grad, norm.weight.grad, norm.bias.grad])
        for mine, early, theirs in zip(*results, strict=True):
            assert torch.equal(mine, theirs) and torch.equal(early, theirs)
    for norm in norms[:2]:
        assert torch.equal(norm.moving_mean, norm.running_mean) and torch.equal(norm.moving_var, norm.running_var)
        torch.testing.assert_close(norm.running_mean, norms[2].running_mean, rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(norm.running_var, norms[2].running_var, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(norms[0].eval()(x), norms[2].eval()(x), rtol=1e-13, atol=1e-13)


def test_batch_renorm_within_its_bounds_is_inference_mode(rng):
    """x_hat r + d = (x - mu) / sigma, for fixed moving averages."""
    norm = at(trained_a_little(renorm(), rng), randn(rng, 5), randn(rng, 5).square() + 0.5)
    norm.momentum = 0.0
    x = norm.moving_var.sqrt() * (0.7 * randn(rng, 200, 5) + 0.3) + norm.moving_mean
    r, d = norm.correction(x.mean(0), x.var(0, correction=0))
    assert ((r > 0.5) & (r < 0.9)).all() and ((d > 0.1) & (d < 0.6)).all()
    torch.testing.assert_close(norm.train()(x), norm.eval()(x))


def test_batch_renorm_by_hand():
    """mu_B = 4, sigma_B = 2 (eps 0) against mu = 1, sigma = 1: r = 2 cut to 1.5, d = 3 cut to 2; then the averages."""
    norm = at(renorm(1, r_max=1.5, d_max=2, ema_decay=0.9), torch.tensor([1.0]), torch.tensor([1.0]))
    norm.eps = NO_EPS
    x = torch.tensor([[2.0], [6.0]], dtype=torch.float64)
    assert norm(x).flatten().tolist() == pytest.approx([-1 * 1.5 + 2, 1.5 + 2])
    assert norm.moving_mean.item() == norm.running_mean.item() == pytest.approx(0.9 * 1 + 0.1 * 4)
    assert norm.moving_var.item() == norm.running_var.item() == pytest.approx(0.9 * 1 + 0.1 * 8)  # unbiased: 4 * 2 / 1
    low = at(renorm(1, r_max=1.5, d_max=2), torch.tensor([9.0]), torch.tensor([100.0]))
    low.eps = NO_EPS
    assert low(x).flatten().tolist() == pytest.approx([-1 / 1.5 - 0.5, 1 / 1.5 - 0.5])  # r = 0.2 cut, d = -0.5


def test_batch_renorms_bounds_follow_the_papers_schedule():
    norm = build_norm("batch_renorm", 1)
    seen = {}
    for step in (1, 5_000, 15_000, 22_500, 25_000, 40_000, 1_000_000):
        norm.steps.fill_(step - 1)
        seen[step] = tuple(round(bound.item(), 4) for bound in norm.bounds())
    assert seen == {
        1: (1.0, 0.0),
        5_000: (1.0, 0.0),
        15_000: (1.5714, 2.5),
        22_500: (2.0, 4.375),
        25_000: (2.1429, 5.0),
        40_000: (3.0, 5.0),
        1_000_000: (3.0, 5.0),
    }
    assert [bound.item() for bound in renorm(1).bounds()] == [3.0, 5.0]  # without a warm-up from the first step
    with pytest.raises(UserError, match=r"r_max must be at least 1"):
        build_norm("batch_renorm", 1, r_max=0.5)


def test_batch_renorm_passes_gradcheck_where_r_and_d_are_cut(rng):
    """There they are constants to the numerical derivative, too."""
    norm = at(renorm(3, r_max=1.2, d_max=0.3), torch.full((3,), 5.0), torch.full((3,), 0.01))
    norm.momentum = 0.0
    arguments = [randn(rng, *shape).requires_grad_() for shape in ((6, 3), (3,), (3,))]
    r, d = norm.correction(arguments[0].mean(0), arguments[0].var(0, correction=0))
    assert r.tolist() == pytest.approx([1.2] * 3) and d.tolist() == pytest.approx([-0.3] * 3)

    def function(x, gamma, beta):
        return torch.func.functional_call(norm, {"weight": gamma, "bias": beta}, x)

    assert torch.autograd.gradcheck(function, arguments)


def test_no_gradient_flows_through_r_and_d(rng):
    """That of x is batch normalisation's with gamma r for gamma; gamma's is the sum of dy (x_hat r + d)."""
    norm = at(trained_a_little(renorm(), rng), 0.2 * randn(rng, 5), 0.5 + randn(rng, 5).square())
    x, dy = randn(rng, 60, 5).requires_grad_(), randn(rng, 60, 5)
    r, d = norm.correction(x.detach().mean(0), x.detach().var(0, correction=0))
    norm(x).backward(dy)
    u = x.detach().clone().requires_grad_()
    x_hat = nn.functional.batch_norm(u, None, None, training=True, eps=EPS)
    (norm.weight.detach() * (x_hat * r + d) + norm.bias.detach()).backward(dy)
    torch.testing.assert_close(x.grad, u.grad)
    torch.testing.assert_close(norm.weight.grad, (dy * (x_hat.detach() * r + d)).sum(0))
    torch.testing.assert_close(norm.bias.grad, dy.sum(0))


def test_population_statistics_of_batch_renorm_are_taken_in_its_training_network(rng):
    """The second layer's input is what the first makes of it in training: by its moving averages, not by the batch."""
    first, second = at(renorm(4, ema_decay=0.9), torch.full((4,), 0.5), torch.full((4,), 2.0)), renorm(4)
    model = nn.Sequential(first, second)
    batches = [randn(rng, 50, 4) + 1 for _ in range(6)]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with population_statistics(model, batches):
        expected = [(batch - 0.5) / (2 + EPS) ** 0.5 for batch in batches]
        torch.testing.assert_close(first.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
        torch.testing.assert_close(second.running_mean, torch.stack([b.mean(0) for b in expected]).mean(0))
        torch.testing.assert_close(second.running_var, torch.stack([b.var(0) for b in expected]).mean(0))
        assert not model.training and torch.equal(first.moving_mean, before["0.moving_mean"])
    with moving_average(model):
        model.train()(batches[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def config_of(*overrides: str):
    return typed(compose_config(*overrides))


@pytest.mark.parametrize("norm", NEW)
def test_seeds_have_the_same_bits_in_any_stack(norm):
    """More than that they train: a batch renorm's state is split and joined like any other."""
    config = config_of("experiment=figure1/bn", f"norm={norm}", "training.steps=100")
    data = build.dataset(config, CPU)
    assert build.stackable(config)

    def trained(seeds):
        task = build.task(config, data, seeds, CPU)
        optimizer, members = build.optimizer(config, task.model), [Member(seed) for seed in seeds]
        trainer = Trainer(task, optimizer, members, 100, build.rate(config), {100}, lambda step: [{} for _ in seeds])
        trainer.train(StopRequest())
        return trainer.states()

    stacked, (alone,) = trained([0, 1, 2]), trained([1])
    assert alone["model"].keys() == stacked[1]["model"].keys()
    for name, tensor in alone["model"].items():
        assert torch.equal(tensor, stacked[1]["model"][name]), name


def test_a_stack_is_as_many_networks(rng):
    """Groups of features do not reach from one network into the next."""
    x = randn(rng, 3, 20, 7)
    norm = StackedNorm(build_norm("group_norm", 3 * 20, groups=7).double(), stack=3)
    assert norm.norm.groups == 3 * 5
    for k in range(3):
        torch.testing.assert_close(norm(x)[k], nn.functional.group_norm(x[k].T, 5).T)


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


def run(tmp_path, *overrides: str) -> list[dict]:
    """Two steps at the smallest scale; the records' statuses."""
    common = ("scale=smoke", "scale.imagenet.images_per_class=10", "probe.batches=1", "training.steps=2")
    common += ("training.steps_multiplier=1", f"runs_dir={tmp_path}", "logger.mode=disabled", "evaluation.every=2")
    outcomes = experiment.run(config_of(*overrides, *common, "evaluation.population_batches=2"), "test")
    assert {outcome.state for outcome in outcomes} == {"finished"}, [outcome.message for outcome in outcomes]
    return [json.loads((tmp_path / outcome.name / "status.json").read_text()) for outcome in outcomes]


@pytest.mark.parametrize("norm", NEW)
@pytest.mark.parametrize("where", ["figure1/bn", "figure2/bn_x5", "googlenet/bn"])
def test_every_network_takes_real_steps_with_it(norm, where, tmp_path):
    (status,) = run(tmp_path, f"experiment={where}", f"norm={norm}")
    averaged = [name for name in status["final"] if name.endswith("moving_average")]
    assert bool(averaged) == (norm == "batch_renorm")  # the others have no statistics to take
    with np.load(tmp_path / status["name"] / "probes.npz") as arrays:
        assert {"percentiles", "percentiles_before"} <= set(arrays.files)
    state = torch.load(tmp_path / status["name"] / "checkpoint.pt", weights_only=True)
    assert bool(state["statistics"]) == (norm == "batch_renorm")


def test_seeds_of_an_unstackable_normaliser_train_one_after_the_other(unit, tmp_path):
    statuses = run(tmp_path, "experiment=figure1/bn", "norm.name=unit", "seeds=[0,1]")
    assert [status["stacked_with"] for status in statuses] == [1, 1]


@pytest.mark.parametrize("norm", NEW)
def test_bfloat16_leaves_what_they_keep_in_float32(norm):
    config = config_of("experiment=figure2/bn_x5", f"norm={norm}", "scale=smoke", "training.precision=bfloat16")
    task = build.task(config, build.dataset(config, CPU), [0], CPU)
    loss = task.loss(*task.batch([0], 0))
    loss.sum().backward()
    assert loss.isfinite().all() and {p.grad.dtype for p in task.model.parameters()} == {torch.float32}
    assert all(layer.moving_var.isfinite().all() for layer in batch_norms(task.model))


def test_l2_spares_what_a_normaliser_learns():
    """Whatever its class and the shape of its parameters."""
    for norm in ("layer_norm", "group_norm", "batch_renorm", "bn", "per_activation"):
        config = config_of("experiment=figure2/bn_x5", f"norm={norm}", "scale=smoke")
        model = build.network(config, [0], CPU, 10)
        weights = {id(m.weight) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        assert {id(p) for p in decayed(model, 1e-4)[0]["params"]} == weights


def test_batch_renorm_folds_and_group_norm_stays():
    images = torch.randn(4, 3, 32, 32)
    for norm, left in (("batch_renorm", False), ("group_norm", True)):
        model = build.network(config_of("experiment=figure2/bn_x5", f"norm={norm}", "scale=smoke"), [0], CPU, 10)
        model.train()(images)
        small = folded(model)
        assert any("norm" in name for name in small.state_dict()) == left
        torch.testing.assert_close(small(images), model.eval()(images), rtol=1e-4, atol=1e-5)


def test_own_options_come_from_the_configuration():
    config = config_of("experiment=figure1/bn", "norm=batch_renorm", "norm.warmup=0.1", "norm.r_max=2")
    model = build.network(config, [0], CPU)
    assert [(layer.warmup, layer.r_max, layer.d_max) for layer in batch_norms(model)] == [(5_000, 2.0, 5.0)] * 3
    config = config_of("experiment=figure2/bn_x5", "norm=group_norm", "norm.groups=4", "scale=laptop")
    groups = {layer.groups for layer in build.network(config, [0], CPU, 50).modules() if isinstance(layer, GroupNorm)}
    assert groups == {4}
    assert norm_options("bn") == set() and norm_options("group_norm") == {"groups"}
    with pytest.raises(UserError, match="norm=bn has no option groups"):
        build_norm("bn", 3, groups=4)
    with pytest.raises(UserError, match=r"norm=bn has no norm\.groups; leave it at 32"):
        config_of("experiment=figure1/bn", "+norm.groups=4")


def test_exports_carry_the_options():
    import timm

    from bnrepro.evaluation.trained import Trained

    config = config_of("experiment=figure2/bn_x5", "norm=group_norm", "norm.groups=4", "scale=smoke")
    model = build.network(config, [0], CPU, 10)
    name, options = arguments(Trained("", config, {}, model, [], ""))
    assert options["norm_options"] == {"groups": 4}
    again = timm.create_model(name, num_classes=10, **options)
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(again.eval()(images), model.eval()(images), rtol=1e-4, atol=1e-5)
