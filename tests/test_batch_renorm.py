"""Batch renormalisation against batch normalisation and the paper's formulas."""

import pytest
import torch
from torch import nn

from bnrepro.errors import UserError
from bnrepro.evaluation.population import moving_average, population_statistics
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.batch_renorm import BatchRenorm
from norms import NO_EPS, randn, trained_a_little

EPS = 1e-3


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
