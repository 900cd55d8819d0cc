"""Normalisers that are controls: one whose statistics the gradient does not see, and one with noise behind it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bnrepro.errors import UserError
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models.mlp import MLP
from bnrepro.models.stacked import can_stack
from bnrepro.probes.instruments import INSTRUMENTS
from bnrepro.probes.scene import Scene
from bnrepro.training import build
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.population import population_statistics
from conftest import config_of
from launches import assert_same_run, only_run, start, trained_here, trainer_of, wait_for_steps
from norms import randn, trained_a_little

CPU = torch.device("cpu")
EPS = 1e-3
SHAPES = [(60, 5), (8, 5, 7, 3), (1, 5, 60)]


def pair(name: str, rng: torch.Generator, **options) -> tuple[nn.Module, BatchNorm]:
    """The control and batch normalisation, of five features, with the same gamma and beta."""
    mine, theirs = (build_norm(kind, 5, eps=EPS, **options).double() for kind in (name, "bn"))
    theirs.load_state_dict(trained_a_little(mine, rng).state_dict())
    return mine, theirs


@pytest.mark.parametrize("shape", SHAPES)
def test_without_gradient_the_values_are_batch_normalisations(rng, shape):
    """In training and in evaluation mode, and the moving averages."""
    mine, theirs = pair("bn_stop_gradient", rng)
    for _ in range(3):
        x = 3 * randn(rng, *shape) + 1
        torch.testing.assert_close(mine(x), theirs(x), rtol=1e-12, atol=1e-12)
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(mine.get_buffer(name), buffer, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mine.eval()(x), theirs.eval()(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_gradient_flows_through_the_statistics(rng, shape):
    """By hand: dx = gamma / sigma dy; those of gamma and beta are batch normalisation's."""
    mine, theirs = pair("bn_stop_gradient", rng)
    x, dy = randn(rng, *shape).requires_grad_(), randn(rng, *shape)
    mine(x).backward(dy)
    axes = [axis for axis in range(len(shape)) if axis != 1]
    scale = mine.weight.detach() / (x.detach().var(axes, correction=0) + EPS).sqrt()
    torch.testing.assert_close(x.grad, dy * scale.view([1, 5] + [1] * (len(shape) - 2)))
    theirs(x.detach()).backward(dy)
    for name in ("weight", "bias"):
        torch.testing.assert_close(mine.get_parameter(name).grad, theirs.get_parameter(name).grad)


def test_descent_moves_in_directions_that_change_nothing(rng):
    """Adding to a unit's x, or scaling it, changes no output: batch normalisation's gradient knows, the other's not."""
    mine, theirs = pair("bn_stop_gradient", rng)
    for norm in (mine, theirs):
        norm.eps = 1e-12
        x, dy = randn(rng, 60, 5).requires_grad_(), randn(rng, 60, 5)
        norm(x).backward(dy)
        shifted, scaled = x.grad.sum(0).abs(), (x.grad * (x.detach() - x.detach().mean(0))).sum(0).abs()
        assert ((shifted > 1e-3) & (scaled > 1e-3)).all() if norm is mine else max(shifted.max(), scaled.max()) < 1e-9


def drawn(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """m and s of this stream: what comes out of gamma = 0 with beta = 0, and with beta = 1 less that."""
    found = []
    for beta in (0.0, 1.0):
        bare = build_norm("noisy_bn", 5, eps=EPS).double()
        bare.weight.data.zero_(), bare.bias.data.fill_(beta)
        torch.manual_seed(1)
        found.append(bare(x.detach()).detach())
    torch.manual_seed(1)
    return found[0], found[1] - found[0]


@pytest.mark.parametrize("shape", [(4000, 5), (1000, 5, 2, 3)])
def test_the_noise_is_what_it_says(rng, shape):
    """y = s z + m in training mode, of the distributions it says; z itself in evaluation mode."""
    noisy, plain = pair("noisy_bn", rng)
    x = randn(rng, *shape)
    m, s = drawn(x)
    torch.testing.assert_close(noisy(x), s * plain(x) + m, rtol=1e-9, atol=1e-9)
    assert (m.mean(0).abs() < 0.51).all() and m.mean(0).std() > 0.1  # an activation's mean, over samples
    assert (m - (m.amax(0) + m.amin(0)) / 2).abs().max() <= 0.1 and (m.std(0) - 0.2 / 12**0.5).abs().max() < 0.005
    assert ((s.mean(0) > 0.98) & (s.mean(0) < 1.27)).all() and s.mean(0).std() > 0.02
    assert (s.std(0) - 0.1).abs().max() < 0.01
    assert not torch.equal(noisy(x), noisy(x))  # another step, other noise
    noisy.load_state_dict(plain.state_dict())
    assert torch.equal(noisy.eval()(x), plain.eval()(x))


def test_the_gradient_of_noise_is_its_scale(rng):
    """dx of s z + m is that of z with s dy."""
    noisy, plain = pair("noisy_bn", rng)
    x, dy = randn(rng, 60, 5).requires_grad_(), randn(rng, 60, 5)
    _, s = drawn(x)
    noisy(x).backward(dy)
    u = x.detach().clone().requires_grad_()
    plain(u).backward(s * dy)
    torch.testing.assert_close(x.grad, u.grad, rtol=1e-9, atol=1e-12)


def test_in_a_perceptron_a_sample_is_an_example(rng):
    """Breaks if activations came as (1, C, N): then nothing would be shared by the samples of an activation."""
    model = MLP([4, 50, 2], lambda c: build_norm("noisy_bn", c)).double()
    norm = model.hidden[0].norm
    norm.norm.weight.data.zero_()
    m = norm(randn(rng, 1, 50, 400)).detach()[0]
    assert m.mean(1).std() > 0.15 and m.std(1).max() < 0.07


def test_noise_cannot_be_told_apart_between_stacked_networks():
    assert not can_stack(build_norm("noisy_bn", 3)) and can_stack(build_norm("bn", 3)) and can_stack(None)
    assert not build.stackable(config_of("experiment=figure1/bn", "norm=noisy_bn"))
    with pytest.raises(ValueError, match="cannot tell 2 networks apart"):
        MLP([4, 6, 2], lambda c: build_norm("noisy_bn", c), stack=2)


NOISY = {
    "mlp": ("experiment=figure1/bn", "norm=noisy_bn", "scale=smoke"),
    "inception": ("experiment=figure2/bn_x5", "norm=noisy_bn", "scale=smoke", "data.images_per_class=10"),
}


@pytest.mark.parametrize("network", NOISY)
def test_noise_is_a_function_of_seed_and_step(network):
    config = config_of(*NOISY[network])
    task = build.task(config, build.dataset(config, CPU), [0], CPU)
    images = task.batch([0], 0)

    def loss(seed: int, step: int) -> float:
        task.prepare([seed], step)
        return task.loss(*images).item()

    assert loss(0, 7) == loss(0, 7) and len({loss(0, 7), loss(0, 8), loss(1, 7)}) == 3
    taken = []
    for seed in range(2):  # whatever was drawn before, the population's statistics are the same
        torch.manual_seed(seed)
        with population_statistics(task.model, task.population(2), task.predict):
            taken.append({name: buffer.clone() for name, buffer in task.model.named_buffers()})
    assert all(torch.equal(taken[0][name], buffer) for name, buffer in taken[1].items())


def test_a_look_inside_meets_the_noise_though_the_statistics_do_not(tmp_path):
    options = (*NOISY["mlp"], "norm.noise_in_statistics=false", "training.steps=4", "evaluation.population_batches=2")
    options += ("probe.instruments=[unsteadiness]", "probe.batches=5", "logger.mode=disabled")
    with np.load(trained_here(tmp_path, *options) / "probes.npz") as arrays:
        assert (arrays["unsteadiness/mean"] > 0.15).all()


@pytest.mark.parametrize("network", NOISY)
def test_statistics_can_be_taken_without_noise(network):
    """They are those of a network of the same weights with plain BN; the default ones are not."""
    buffers = []
    for norm in (("norm=noisy_bn", "norm.noise_in_statistics=false"), ("norm=noisy_bn",), ("norm=bn",)):
        config = config_of(*NOISY[network], *norm)
        task = build.task(config, build.dataset(config, CPU), [0], CPU)
        torch.manual_seed(0)
        with population_statistics(task.model, task.population(2), task.predict):
            buffers.append(torch.cat([b.flatten().double() for b in task.model.buffers()]))
    torch.testing.assert_close(buffers[0], buffers[2], rtol=1e-4, atol=1e-5)
    assert (buffers[1] - buffers[2]).abs().max() > 1e-3


def test_without_noise_the_stream_of_random_numbers_is_left_alone():
    config = config_of("experiment=figure1/bn", "scale=smoke")
    task = build.task(config, build.dataset(config, CPU), [0, 1], CPU)
    before = torch.get_rng_state()
    task.prepare([0, 1], 3)
    next(iter(task.population(2)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("network", NOISY)
def test_noisy_training_goes_on_from_a_checkpoint_bit_for_bit(network):
    config = config_of(*NOISY[network])
    steps = 8
    straight, first, second = (trainer_of(config, [3], steps) for _ in range(3))
    straight.train(StopRequest())
    first.steps, first.evaluation_steps = steps // 2, {steps // 2}
    first.train(StopRequest())
    torch.manual_seed(99)
    second.restore(first.states())
    second.train(StopRequest())
    for name, tensor in straight.states()[0]["model"].items():
        assert torch.equal(tensor, second.states()[0]["model"][name]), name
    other = trainer_of(config, [3], steps)  # the same batches and weights, another seed of noise
    prepare = other.task.prepare
    other.task.prepare = lambda seeds, step: prepare([seeds[0] + 1], step)
    other.train(StopRequest())
    parameters = zip(straight.model.parameters(), other.model.parameters(), strict=True)
    assert not any(torch.equal(*both) for both in parameters)


def test_a_noisy_run_that_is_killed_and_relaunched_is_the_same_run(environment, tmp_path):
    options = (*NOISY["mlp"], "logger.mode=disabled")
    runs = Path(environment["BNREPRO_RUNS"])
    process = start(environment, *options, "checkpoint_seconds=0.01")
    wait_for_steps(runs, 20, process)
    process.kill()
    process.wait()
    process = start(environment, *options)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "finished" in out
    status = json.loads((only_run(runs) / "status.json").read_text())
    assert len(status["resumed"]) == 1 and status["exact_resume"]
    straight = trained_here(tmp_path / "straight", *options)
    assert_same_run(only_run(runs), straight)
    assert status["final"] == json.loads((straight / "status.json").read_text())["final"]


@pytest.mark.parametrize("network", NOISY)
def test_looking_at_a_noisy_network_does_not_change_what_it_becomes(network, tmp_path):
    """With percentiles and instruments, or with neither."""
    common = (*NOISY[network], "logger.mode=disabled", "training.steps=10", "evaluation.every=5")
    common += ("evaluation.population_batches=2",)
    looked = ("probe.every=2", "probe.batches=1", "probe.instruments=[gradients,shift,amplification,batch_noise]")
    paths = [trained_here(tmp_path / "looked", *common, *looked), trained_here(tmp_path / "not", *common, "probe=none")]
    states = [torch.load(path / "checkpoint.pt", weights_only=True) for path in paths]
    for part in ("model", "optimizer"):
        assert all(torch.equal(tensor, states[1][part][name]) for name, tensor in states[0][part].items())
    finals = [json.loads((path / "status.json").read_text())["final"] for path in paths]
    assert finals[0] == finals[1]
    with np.load(paths[0] / "probes.npz") as arrays:
        assert (arrays["batch_noise/share"][:, 0] > 0).all()


@pytest.mark.parametrize("norm", ["noisy_bn", "layer_norm"])
def test_the_jacobian_is_of_bn_without_noise(norm):
    model = MLP([4, 6, 6, 2], lambda c: build_norm(norm, c))
    with pytest.raises(UserError, match="without noise"):
        INSTRUMENTS["jacobian"](Scene(model, lambda *_: None, model, [], 0.1))
