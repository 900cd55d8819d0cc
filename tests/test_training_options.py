"""Inputs that are prepared, and optimisers that adapt: options of the MNIST network that claims need."""

import json

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from bnrepro.data.mnist import FLOOR, input_transform
from bnrepro.errors import UserError
from bnrepro.training import build, checkpoint
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.population import population_statistics
from bnrepro.training.validation import typed
from conftest import compose_config, config_of
from launches import trained_here, trainer_of
from test_stacking import CPU, train


def images(count: int = 400) -> torch.Tensor:
    """Binary images of correlated pixels; the last pixel never varies."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (count, 6), generator=generator)
    x[:, 1] = torch.where(torch.rand(count, generator=generator) < 0.9, x[:, 0], x[:, 1])
    x[:, 5] = 0
    return x.to(torch.uint8)


def test_standardised_inputs_have_mean_0_and_a_variance_short_of_1_by_the_floor():
    x = images()
    y = input_transform("standardised", x)(x).double()
    variance = x.double().var(0, unbiased=False)
    torch.testing.assert_close(y.mean(0), torch.zeros(6).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.var(0, unbiased=False), variance / (variance + FLOOR), atol=1e-6, rtol=0)
    assert y.var(0, unbiased=False)[0] > 0.95 and (y[:, 5] == 0).all()


def test_whitened_inputs_are_uncorrelated_and_turned_as_little_as_can_be():
    x = images()
    prepare = input_transform("whitened", x)
    y = prepare(x).double()
    covariance = torch.cov(x.double().T, correction=0)
    expected = covariance @ torch.linalg.inv(covariance + FLOOR * torch.eye(6, dtype=torch.double))
    torch.testing.assert_close(torch.cov(y.T, correction=0), expected, atol=1e-5, rtol=0)
    assert abs(torch.corrcoef(x.double().T)[0, 1]) > 0.8 > 0.25 > abs(torch.corrcoef(y[:, :5].T)[0, 1])
    zero, steps = prepare(torch.zeros(1, 6)), torch.eye(6)
    matrix = torch.cat([prepare(step[None]) - zero for step in steps])
    torch.testing.assert_close(matrix, matrix.T, atol=1e-5, rtol=0)  # ZCA: symmetric


def test_held_out_images_are_prepared_by_the_training_images():
    raw, white = (
        build.dataset(typed(compose_config("experiment=claims/inputs", f"data.inputs={kind}")), CPU)
        for kind in ("raw", "standardised")
    )
    x = raw.train_images.double()
    scale = (x.var(0, unbiased=False) + FLOOR).rsqrt()
    expected = ((raw.eval_images[:5].double() - x.mean(0)) * scale).float()
    torch.testing.assert_close(white.eval_images[:5], expected)
    shown, labels = white.batch([0], 0)
    assert shown.dtype == torch.float32 and torch.equal(labels, raw.batch([0], 0)[1])
    order = raw.batch([0], 0)[0][0].double()
    torch.testing.assert_close(shown[0], ((order - x.mean(0)) * scale).float())


@pytest.mark.parametrize("name", ["adagrad", "adam"])
def test_adaptive_optimisers_step_as_they_are_defined(name):
    """The first step: Adagrad's and Adam's both have the size of the rate, whatever the gradient's."""
    config = typed(compose_config("experiment=figure1/bn", f"optimizer={name}", "optimizer.base_lr=0.01"))
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    model = torch.nn.Module()
    model.weight = weight
    optimizer = build.optimizer(config, model)
    weight.grad = torch.tensor([100.0, -0.001, 2.0])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.99, -1.99, 2.99]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["adagrad", "adam"])
def test_adaptive_optimisers_stack_and_resume_bit_for_bit(name, tmp_path):
    config = typed(compose_config("experiment=figure1/bn", f"optimizer={name}"))
    whole = train(config, [0, 1, 2], 40)
    (alone,) = train(config, [1], 40).states()
    halfway = train(config, [0, 1, 2], 20)
    states = []
    for state in halfway.states():
        checkpoint.save(tmp_path / "checkpoint.pt", state | {"run": "a"})
        states.append(checkpoint.load(tmp_path / "checkpoint.pt", "a"))
    resumed = trainer_of(config, [0, 1, 2], 40)
    resumed.restore(states)
    resumed.train(StopRequest())
    for mine, theirs in zip(resumed.states(), whole.states(), strict=True):
        for part in ("model", "optimizer"):
            assert all(torch.equal(tensor, theirs[part][key]) for key, tensor in mine[part].items())
    assert all(torch.equal(tensor, whole.states()[1]["model"][key]) for key, tensor in alone["model"].items())


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.inputs=washed", "data.inputs=washed is not one of raw, standardised, whitened"),
        ("optimizer.momentum=0.9", "optimizer=adam has no momentum"),
    ],
)
def test_what_would_be_ignored_is_refused(override, said):
    with pytest.raises(UserError, match=said):
        typed(compose_config("experiment=figure1/bn", "optimizer=adam", "+optimizer.momentum=0", override))


def test_prepared_inputs_are_for_the_mnist_network():
    with pytest.raises(UserError, match=r"data\.inputs is for model=mlp and rnn"):
        typed(compose_config("experiment=figure2/inception", "scale=smoke", "+data.inputs=raw", "data.inputs=whitened"))


def test_training_images_are_evaluated_as_the_held_out_ones_are(tmp_path):
    """In evaluation mode, on so many fixed images that the network trains on; the network becomes what it was."""
    options = ("experiment=figure1/bn", "scale=smoke", "training.steps=20", "evaluation.every=10", "probe=none")
    options += ("evaluation.population_batches=2", "logger.mode=disabled")
    with_fit, without = (
        trained_here(tmp_path / name, *options, *extra)
        for name, extra in (("with", ["evaluation.training_images=1500"]), ("without", []))
    )
    records = [pd.read_csv(path / "metrics.csv") for path in (with_fit, without)]
    shared = [column for column in records[1] if column != "seconds"]
    pd.testing.assert_frame_equal(records[0][shared], records[1][shared])
    final = json.loads((with_fit / "status.json").read_text())["final"]
    assert records[0]["fit/top1"].iloc[-1] == pytest.approx(final["fit/top1"], abs=1e-6)
    task = train(config_of(*options), [0], 20).task
    images, labels = task.data.evaluation_images(1500)
    trained_on = {row.tobytes() for row in task.data.train_images.numpy()}
    assert len(images) == 1500 and {row.tobytes() for row in images.numpy()} <= trained_on
    with torch.no_grad(), population_statistics(task.model, task.population(0)):
        loss = F.cross_entropy(task.model(images.float()[None]), labels[None])
    assert final["fit/loss"] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        ("experiment=figure2/bn_x5", "scale=smoke", "evaluation.training_images=10"),
        ("experiment=figure1/bn", "evaluation.training_images=60001"),
    ],
)
def test_training_images_that_cannot_be_evaluated_are_refused(options):
    with pytest.raises(UserError, match=r"evaluation\.training_images"):
        config_of(*options)


def test_a_recurrent_network_is_elmans_recursion():
    config = typed(compose_config("model=rnn", "probe=none", "init.std=0.3", "model.hidden=[7]"))
    model = build.network(config, [0], CPU)
    model.requires_grad_(False)
    images = build.dataset(config, CPU).batch([0], 0)[0]
    model.row.bias.data.normal_(generator=torch.Generator().manual_seed(0))
    state = torch.zeros(images.shape[1], 7)
    for row in images[0].view(-1, 28, 28).unbind(1):
        state = torch.sigmoid(row @ model.row.weight.T + state @ model.state.weight.T + model.row.bias)
    expected = state @ model.output.weight.T + model.output.bias
    torch.testing.assert_close(model(images), expected.T[None])
    assert model.row.weight.std() == pytest.approx(0.3, rel=0.2) and not build.stackable(config)


def test_a_recurrent_networks_normalisers_have_each_their_time_step():
    config = typed(compose_config("model=rnn", "probe=none", "norm=bn", "init.std=0.3"))
    model = build.network(config, [0], CPU)
    model.requires_grad_(False)
    images = build.dataset(config, CPU).batch([0], 0)[0]
    norms = [time.norm for time in model.times]
    seen = [[] for _ in norms]
    for norm, into in zip(norms, seen, strict=True):
        norm.register_forward_hook(lambda module, args, out, into=into: into.append(out))
    model.train()(images)
    for (out,) in seen[4:24]:  # rows that are not empty
        assert out.mean(0).abs().max() < 1e-5 and out.var(0, unbiased=False).median() == pytest.approx(1, abs=0.01)
    assert model.row.bias is None and len({norm.running_mean.sum().item() for norm in norms[4:24]}) == 20


@pytest.mark.parametrize("override", ["probe=percentiles", "model.hidden=[10,10]"])
def test_what_a_recurrent_network_does_not_have_is_refused(override):
    with pytest.raises(UserError, match="model=rnn has one number"):
        typed(compose_config("model=rnn", "probe=none", override))
