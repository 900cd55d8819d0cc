"""Layer and group normalisation against PyTorch's layers and the papers' formulas."""

import pytest
import torch
from torch import nn

from bnrepro.errors import UserError
from bnrepro.layers import build_norm
from bnrepro.layers.group_norm import divide
from bnrepro.models.stacked import StackedNorm
from norms import randn, trained_a_little

EPS = 1e-3


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


def test_a_stack_is_as_many_networks(rng):
    """Groups of features do not reach from one network into the next."""
    x = randn(rng, 3, 20, 7)
    norm = StackedNorm(build_norm("group_norm", 3 * 20, groups=7).double(), stack=3)
    assert norm.norm.groups == 3 * 5
    for k in range(3):
        torch.testing.assert_close(norm(x)[k], nn.functional.group_norm(x[k].T, 5).T)
