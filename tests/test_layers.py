"""The normalisers against Alg. 1, Alg. 2 and the identities of Sec. 3, in float64 where a formula is the judge."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from bnrepro.errors import UserError
from bnrepro.layers import build_norm, norm_names
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.bn_reference import BatchNormTransform, ReferenceBatchNorm
from bnrepro.layers.per_activation import PerActivationBatchNorm
from bnrepro.layers.sync import SynchronisedBatchNorm
from norms import NO_EPS, randn, trained_a_little

EPS = 1e-5


def test_reference_forward_is_algorithm_1_by_hand():
    x = torch.tensor([[1.0], [2.0], [6.0]], dtype=torch.float64)
    gamma, beta = torch.tensor([2.0], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    y, mean, variance = BatchNormTransform.apply(x, gamma, beta, 0.0)
    assert mean.item() == pytest.approx(3.0)
    assert variance.item() == pytest.approx(14 / 3)  # biased: (4 + 1 + 9) / 3
    assert y.flatten().tolist() == pytest.approx([2 * d / (14 / 3) ** 0.5 + 0.5 for d in (-2.0, -1.0, 3.0)])


def test_reference_backward_passes_gradcheck(rng):
    arguments = [randn(rng, *shape).requires_grad_() for shape in ((6, 3), (3,), (3,))]
    assert torch.autograd.gradcheck(lambda x, g, b: BatchNormTransform.apply(x, g, b, 1e-3)[0], arguments)


def reference(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    return BatchNormTransform.apply(x, gamma, beta, 1e-3)[0].sin().sum()


def by_autograd(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """The same, differentiated by PyTorch alone."""
    return (gamma * (x - x.mean(0)) / (x.var(0, correction=0) + 1e-3).sqrt() + beta).sin().sum()


def test_reference_backward_can_be_differentiated(rng):
    arguments = [randn(rng, *shape).requires_grad_() for shape in ((6, 3), (3,), (3,))]
    assert torch.autograd.gradgradcheck(lambda x, g, b: BatchNormTransform.apply(x, g, b, 1e-3)[0], arguments)


def test_reference_works_in_transforms_of_functions(rng):
    """Gradients, second derivatives and gradients of each of several mini-batches, by torch.func."""
    x, gamma, beta = randn(rng, 4, 6, 3), randn(rng, 3), randn(rng, 3)
    several = [torch.vmap(torch.func.grad(f), (0, None, None))(x, gamma, beta) for f in (reference, by_autograd)]
    torch.testing.assert_close(*several)
    second = [torch.func.jacrev(torch.func.jacrev(f))(x[0], gamma, beta) for f in (reference, by_autograd)]
    torch.testing.assert_close(*second)


@pytest.mark.parametrize("name", ["bn", "bn_reference", "bn_stop_gradient", "noisy_bn"])
def test_layers_without_running_statistics_work_in_torch_func(rng, name):
    norm = build_norm(name, 3).double()
    torch.func.replace_all_batch_norm_modules_(norm)
    parameters, x = dict(norm.named_parameters()), randn(rng, 6, 3)
    gradient = torch.func.grad(lambda p: torch.func.functional_call(norm, p, x).square().sum())(parameters)
    assert gradient["weight"].shape == (3,) and gradient["weight"].abs().min() > 0


def test_the_synchronised_layer_differentiates_twice(rng, monkeypatch):
    """Two replicas that hold the same examples are, to each, a sum that doubles."""

    @torch.no_grad()
    def doubled(total: torch.Tensor) -> None:
        total.mul_(2)

    x, v, gamma = randn(rng, 6, 3).requires_grad_(), randn(rng, 6, 3), randn(rng, 3)
    alone, replica = (trained_a_little(kind(3, eps=1e-3), rng) for kind in (BatchNorm, SynchronisedBatchNorm))
    replica.load_state_dict(alone.state_dict())

    def second(norm: nn.Module, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        (first,) = torch.autograd.grad((norm(x) * gamma).sin().sum(), x, create_graph=True)
        return torch.autograd.grad((first * v).sum(), x)[0]

    expected = second(alone, torch.cat([x, x]).detach().requires_grad_(), torch.cat([v, v]))[:6]
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", doubled)
    torch.testing.assert_close(second(replica, x, v), expected)


def test_reference_backward_equals_the_compact_formula(rng):
    """dx = gamma / sqrt(var + eps) * (g - mean g - x_hat mean(g x_hat)): the derivatives of Sec. 3, simplified."""
    x, gamma, dy = randn(rng, 60, 4).requires_grad_(), randn(rng, 4), randn(rng, 60, 4)
    y, mean, variance = BatchNormTransform.apply(x, gamma, torch.zeros(4, dtype=torch.float64), EPS)
    y.backward(dy)
    x_hat = (x.detach() - mean) / (variance + EPS).sqrt()
    compact = gamma / (variance + EPS).sqrt() * (dy - dy.mean(0) - x_hat * (dy * x_hat).mean(0))
    torch.testing.assert_close(x.grad, compact, rtol=1e-10, atol=1e-12)
    assert x.grad.sum(0).abs().max() < 1e-12


@pytest.mark.parametrize("shape", [(60, 5), (8, 5, 7, 3), (1, 5, 60)])
def test_fast_and_reference_agree(rng, shape):
    """Outputs, all gradients and the running statistics, dense and convolutional, over several steps."""
    fast, reference = (cls(5, eps=EPS, momentum=0.1).double() for cls in (BatchNorm, ReferenceBatchNorm))
    for norm in (fast, reference):
        norm.weight.data = torch.linspace(0.5, 2, 5, dtype=torch.float64)
        norm.bias.data = torch.linspace(-1, 1, 5, dtype=torch.float64)
    for _ in range(3):
        x, dy = 3 * randn(rng, *shape) + 1, randn(rng, *shape)
        results = []
        for norm in (fast, reference):
            u = x.clone().requires_grad_()
            norm.zero_grad()
            y = norm(u)
            y.backward(dy)
            results.append([y, u.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var])
        for mine, theirs in zip(*results, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    fast.eval(), reference.eval()
    torch.testing.assert_close(fast(x), reference(x))


def test_convolutional_case_is_dense_case_over_positions(rng):
    """m' = m p q with one gamma and beta a map (C20)."""
    x = randn(rng, 4, 3, 5, 6)
    conv, dense = BatchNorm(3, eps=EPS).double(), BatchNorm(3, eps=EPS).double()
    rows = x.permute(0, 2, 3, 1).reshape(-1, 3)
    expected = dense(rows).view(4, 5, 6, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(conv(x), expected)
    torch.testing.assert_close(conv.running_var, 1 + 0.1 * (rows.var(0, unbiased=True) - 1))
    shifted = torch.roll(x, (1, 2), (2, 3))
    torch.testing.assert_close(conv(shifted), torch.roll(conv(x), (1, 2), (2, 3)))


def test_per_activation_has_statistics_for_every_position(rng):
    x = 2 * randn(rng, 16, 3, 4, 5) + 3
    norm = PerActivationBatchNorm(3, (4, 5), eps=NO_EPS).double()
    y = norm(x)
    assert norm.weight.numel() == norm.bias.numel() == 3 * 4 * 5
    torch.testing.assert_close(y, (x - x.mean(0)) / x.std(0, unbiased=False))
    with pytest.raises(ValueError, match="built for maps of"):
        norm(x[:, :, :3])


def test_normalised_values_have_the_moments_of_the_paper(rng):
    """mean 0 and mean square sigma^2 / (sigma^2 + eps) (C12)."""
    x = 0.01 * randn(rng, 60, 100)
    y = BatchNorm(100, eps=1e-3, affine=False).double()(x)
    variance = x.var(0, unbiased=False)
    assert y.mean(0).abs().max() < 1e-12
    torch.testing.assert_close((y**2).mean(0), variance / (variance + 1e-3))


def test_gamma_and_beta_can_restore_the_identity(rng):
    """C11: exact for gamma = sqrt(var + eps), beta = mean; only O(eps) away for gamma = sqrt(var)."""
    x = randn(rng, 60, 4) * 0.1 + 5
    norm = BatchNorm(4, eps=1e-3).double()
    norm.bias.data = x.mean(0)
    norm.weight.data = (x.var(0, unbiased=False) + 1e-3).sqrt()
    torch.testing.assert_close(norm(x), x)
    norm.weight.data = x.std(0, unbiased=False)
    assert (norm(x) - x).abs().max() > 1e-3


def test_a_bias_before_the_normaliser_does_nothing(rng):
    """C17: any b leaves the output alone, and its gradient is 0."""
    linear, norm = nn.Linear(8, 4).double(), ReferenceBatchNorm(4, eps=EPS).double()
    x, dy = randn(rng, 60, 8), randn(rng, 60, 4)
    y = norm(linear(x))
    y.backward(dy)
    assert linear.bias.grad.abs().max() < 1e-6
    linear.bias.data += 3
    torch.testing.assert_close(norm(linear(x)), y)


@pytest.mark.parametrize("a", [0.1, 4.0, 100.0])
def test_scale_invariance_and_its_gradients(rng, a):
    """C22-C24 for a > 0 and eps = 0: same output, same dy/du, gradient in the weights divided by a."""
    u, w, dy = randn(rng, 60, 8), randn(rng, 4, 8), randn(rng, 60, 4)
    norm = BatchNorm(4, eps=NO_EPS).double()

    def outputs(scale: float):
        inputs, weights = u.clone().requires_grad_(), (scale * w).requires_grad_()
        y = norm(inputs @ weights.T)
        return y, *torch.autograd.grad(y, (inputs, weights), dy)

    (y, du, dw), (y_a, du_a, dw_a) = outputs(1.0), outputs(a)
    torch.testing.assert_close(y_a, y)
    torch.testing.assert_close(du_a, du)
    torch.testing.assert_close(dw_a, dw / a)
    assert (norm(u @ (-a * w).T) - y).abs().max() > 0.1  # a < 0 flips the normalised values


def test_training_output_depends_on_batch_mates_and_inference_does_not(rng):
    """C14."""
    norm = BatchNorm(4).double()
    x, mates, others = randn(rng, 1, 4), randn(rng, 59, 4), 2 * randn(rng, 59, 4)
    assert not torch.allclose(norm(torch.cat([x, mates]))[0], norm(torch.cat([x, others]))[0])
    norm.eval()
    assert torch.equal(norm(torch.cat([x, mates]))[0], norm(torch.cat([x, others]))[0])


@pytest.mark.parametrize("bias", [True, False])
def test_pytorch_folds_it_into_linear_and_convolution(rng, bias):
    """C16: folded and unfolded agree."""
    for layer, shape, fuse in (
        (nn.Linear(6, 5, bias=bias), (9, 6), fuse_linear_bn_eval),
        (nn.Conv2d(6, 5, 3, padding=1, bias=bias), (2, 6, 8, 8), fuse_conv_bn_eval),
    ):
        layer, norm = layer.double().eval(), trained_a_little(BatchNorm(5, eps=EPS), rng)
        for _ in range(3):
            norm(layer(randn(rng, *shape)))
        norm.eval()
        x = randn(rng, *shape)
        assert (fuse(layer, norm)(x) - norm(layer(x))).abs().max() < 1e-10


def test_registry_builds_every_normaliser_and_suggests():
    assert build_norm("none", 3) is None
    for name in norm_names()[1:]:
        norm = build_norm(name, 3, eps=1e-3, ema_decay=0.99)
        assert norm.eps == 1e-3
        assert not isinstance(norm, BatchNorm) or round(norm.momentum, 6) == 0.01  # PyTorch's momentum is 1 - decay
    with pytest.raises(UserError, match="did you mean bn_reference"):
        build_norm("bn_referense", 3)


@pytest.mark.parametrize("name", ["bn", "bn_reference", "bn_stop_gradient", "noisy_bn"])
def test_batch_statistics_need_more_than_one_value_and_are_taken_in_float32(rng, name):
    norm = build_norm(name, 5)
    with pytest.raises(ValueError, match="more than"):
        norm(torch.zeros(1, 5, 1, 1))
    assert norm.running_var.isfinite().all()
    x = 3 + randn(rng, 8, 5, 4, 4)
    y = norm(x.to(torch.bfloat16))
    assert y.dtype == torch.bfloat16 and norm.running_mean.dtype == torch.float32
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean((0, 2, 3)).float(), rtol=0.02, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", norm_names()[1:])
@pytest.mark.parametrize("maps", [(), (3, 3)])
def test_layers_turned_to_half_precision_train_and_evaluate(rng, name, dtype, maps):
    """``.half()`` or ``.bfloat16()`` of the layer itself, parameters and running statistics too."""
    norm = build_norm(name, 8, spatial=maps).to(dtype)
    x = randn(rng, 16, 8, *maps).to(dtype).requires_grad_()
    y = norm(x)
    y.sum().backward()
    assert {t.dtype for t in (y, x.grad, norm.weight.grad, norm.bias.grad, norm.eval()(x))} == {dtype}
    wide = build_norm(name, 8, spatial=maps).train()
    if name != "noisy_bn":
        torch.testing.assert_close(y.float(), wide(x.float()), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", norm_names()[1:])
def test_an_input_of_one_axis_is_refused(name):
    with pytest.raises((ValueError, RuntimeError), match=r"expected \(N, C, \*\), got \[8\]|at least 2 dimensions"):
        build_norm(name, 8)(torch.zeros(8))


def test_the_synchronised_layer_refuses_one_axis(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    with pytest.raises(ValueError, match=r"expected \(N, C, \*\)"):
        SynchronisedBatchNorm(8)(torch.zeros(8))


def test_a_large_constant_is_rounded_as_in_pytorch():
    x = torch.full((60, 1, 2, 2), 1e4)
    ours, theirs = build_norm("bn", 1)(x), nn.BatchNorm2d(1)(x)
    assert torch.equal(ours, theirs) and 0.01 < ours.abs().max() < 0.1  # beta is 0


def test_noise_does_not_depend_on_the_memory_layout(rng):
    x, outputs = randn(rng, 4, 8, 3, 5), []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        outputs.append(build_norm("noisy_bn", 8).double()(x.contiguous(memory_format=layout)))
    torch.testing.assert_close(*outputs)
