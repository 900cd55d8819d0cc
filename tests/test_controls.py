"""Normalisers that are controls: one whose statistics the gradient does not see, and one with noise behind it."""

import pytest
import torch
from torch import nn

from bnrepro import build
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.loop import Member, Trainer
from bnrepro.validation import typed
from conftest import compose_config

CPU = torch.device("cpu")
EPS = 1e-3
SHAPES = [(60, 5), (8, 5, 7, 3), (1, 5, 60)]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def randn(rng: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def pair(name: str, rng: torch.Generator, **options) -> tuple[nn.Module, BatchNorm]:
    """The control and batch normalisation, of five features, with the same gamma and beta."""
    norms = [build_norm(kind, 5, eps=EPS, **options).double() for kind in (name, "bn")]
    norms[0].weight.data, norms[0].bias.data = randn(rng, 5), randn(rng, 5)
    norms[1].load_state_dict(norms[0].state_dict())
    return norms[0], norms[1]


def config_of(*overrides: str):
    return typed(compose_config(*overrides))


def trainer_of(config, seeds: list[int], steps: int) -> Trainer:
    task = build.task(config, build.dataset(config, CPU), seeds, CPU)
    members = [Member(seed) for seed in seeds]
    optimizer = build.optimizer(config, task.model)
    return Trainer(task, optimizer, members, steps, build.rate(config), {steps}, lambda step: [{} for _ in seeds])


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


def test_seeds_without_gradient_have_the_same_bits_in_any_stack():
    config = config_of("experiment=figure1/bn", "norm=bn_stop_gradient")
    assert build.stackable(config)
    trained = []
    for seeds in ([0, 1, 2], [1]):
        trainer = trainer_of(config, seeds, 60)
        trainer.train(StopRequest())
        trained.append(trainer.states())
    for name, tensor in trained[1][0]["model"].items():
        assert torch.equal(tensor, trained[0][1]["model"][name]), name
