"""norm.placement: the normaliser before the nonlinearity, as Sec. 3.2 has it, or after."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from bnrepro.errors import UserError
from bnrepro.layers import build_norm, norm_names
from bnrepro.models.convolution import Build, ConvUnit
from bnrepro.models.folded import folded
from bnrepro.models.mlp import MLP
from bnrepro.models.placement import normalises
from bnrepro.probes.instruments import INSTRUMENTS
from bnrepro.probes.percentiles import PercentileProbe
from bnrepro.probes.scene import Scene, recorded_activations, sites
from bnrepro.records.identity import canonical, run_name
from bnrepro.training import build
from bnrepro.training.population import population_statistics
from conftest import config_of
from launches import TWO_STEPS, finished

CPU = torch.device("cpu")
AFTER = "norm.placement=after"
SMOKE = "scale=smoke"


def two_layers(norm: str = "bn", placement: str = "after", nonlinearity: str = "sigmoid") -> MLP:
    """Weights that are not all 0."""
    model = MLP([6, 5, 4, 3], lambda c: build_norm(norm, c), nonlinearity, placement).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 40, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("norm", [name for name in norm_names() if name not in ("none", "noisy_bn")])
def test_after_is_bn_of_g_of_w_u_plus_b(norm):
    """By hand for every normaliser, from a copy of it."""
    model = two_layers(norm)
    x = images()[0].clone()
    expected = x
    for layer in model.hidden:
        assert [name for name, _ in layer.named_children()] == ["linear", "nonlinearity", "norm"]
        expected = torch.sigmoid(expected @ layer.linear.weight[0].T + layer.linear.bias[0].T)
        fresh = build_norm(norm, expected.shape[1]).double()
        fresh.load_state_dict(layer.norm.norm.state_dict())
        expected = fresh(expected)
    expected = expected @ model.output.weight[0].T + model.output.bias[0].T
    torch.testing.assert_close(model(x[None])[0].T, expected)


def test_its_gradient_is_the_derivative():
    model = two_layers().train()
    names, parameters = zip(*model.named_parameters(), strict=True)
    shown = images()[:1, :7]

    def function(*values):
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), shown)

    assert torch.autograd.gradcheck(function, [p.detach().clone().requires_grad_() for p in parameters])


def test_what_follows_gets_normalised_values():
    """Breaks if the order were the other: a sigmoid gives values between 0 and 1, and BN behind it mean beta."""
    seen = {}
    for placement in ("before", "after"):
        model = two_layers(placement=placement)
        norm = model.hidden[-1].norm.norm
        norm.weight.data.fill_(1.0), norm.bias.data.zero_()
        model.output.register_forward_pre_hook(lambda module, args, p=placement: seen.update({p: args[0]}))
        model(images()[:1])
    assert seen["before"].min() > 0 and seen["before"].mean(2).min() > 0.1
    assert seen["after"].mean(2).abs().max() < 1e-9 and seen["after"].min() < 0


def test_before_is_as_it_was():
    """Names, their order, and where the biases are."""
    model = MLP([6, 5, 4], lambda c: build_norm("bn", c))
    assert [name for name, _ in model.hidden[0].named_children()] == ["linear", "norm", "nonlinearity"]
    assert model.hidden[0].linear.bias is None and normalises(model.hidden[0], "before")
    model = MLP([6, 5, 4], lambda c: None)
    assert [name for name, _ in model.hidden[0].named_children()] == ["linear", "nonlinearity"]
    assert not normalises(model.hidden[0], "before") and not normalises(model.hidden[0], "after")


@pytest.mark.parametrize("where", ["figure2/bn_baseline", "googlenet/bn"])
def test_every_unit_and_every_head_of_the_convolutional_networks(where):
    networks = [build.network(config_of(f"experiment={where}", SMOKE, *more), [0], CPU, 10) for more in ([AFTER], [])]
    units = [[unit for unit in model.modules() if isinstance(unit, ConvUnit)] for model in networks]
    units = [
        found + [head.hidden for head in model.heads.values()] for found, model in zip(units, networks, strict=True)
    ]
    for after, before in zip(*units, strict=True):
        assert normalises(after, "after") and normalises(before, "before")
        linear = [unit.conv if isinstance(unit, ConvUnit) else unit.linear for unit in (after, before)]
        assert torch.equal(linear[0].weight, linear[1].weight) and linear[1].bias is None  # paired by seed
        assert (linear[0].bias == 0).all() and [type(m).__name__ for m in after][-2:] == ["ReLU", "BatchNorm"]


def test_a_last_normaliser_stands_where_the_others_do():
    model = build.network(
        config_of("experiment=figure2/bn_x5", SMOKE, AFTER, "+norm.last=per_activation"), [0], CPU, 10
    )
    last = model.rows["5b"].one
    assert normalises(last, "after") and type(last.norm).__name__ == "PerActivationBatchNorm"


def test_percentiles_are_of_w_u_plus_b_in_both_modes():
    model, shown = two_layers().float(), images().float()
    probe = PercentileProbe(model, model, list(shown[:, None]), [1])
    with population_statistics(model, shown[:, None]):
        probe(1)
    record = probe.record(0)
    assert "percentiles_inference" in record and "percentiles_before" not in record
    first = model.hidden[0].linear
    x = shown.flatten(0, 1) @ first.weight[0].T + first.bias[0].T
    expected = np.percentile(x.detach().numpy(), (15, 50, 85), axis=0).T
    for view in ("percentiles", "percentiles_inference"):  # no normaliser is before the first layer
        np.testing.assert_allclose(record[view][0, :5].astype(float), expected, rtol=2e-3, atol=2e-3)
    assert not np.array_equal(record["percentiles"][0, 5:], record["percentiles_inference"][0, 5:])
    again = PercentileProbe(model, model, list(shown[:, None]), [1])
    again.restore([probe.state(0)])
    np.testing.assert_array_equal(again.record(0)["percentiles_inference"], record["percentiles_inference"])


def test_layers_percentiles_have_one_view():
    unit = ConvUnit(4, 4, 1, 3, Build(lambda c, spatial: build_norm("bn", c), "relu", 1.0, "after"))
    model = nn.Sequential(unit)
    batch = torch.randn(8, 4, 3, 3)
    probe = PercentileProbe(model, model, [batch], [1])
    probe(1)
    record = probe.record(0)
    assert "percentiles_before" not in record
    expected = np.percentile(unit.conv(batch).detach().numpy(), (15, 50, 85))
    np.testing.assert_allclose(record["percentiles"][0, 0].astype(float), expected, rtol=2e-3, atol=2e-3)


def test_sites_show_the_nonlinearitys_input():
    model = two_layers()
    found = sites(model)
    with recorded_activations(found) as seen:
        model(images()[:1])
    assert [site.norm is not None for site in found] == [True, True]
    for one in seen.values():
        assert torch.equal(one.x, one.affine)
    assert seen["layer2"].u.mean(2).flatten().tolist() == pytest.approx(model.hidden[0].norm.norm.bias.tolist())


def test_the_jacobian_is_refused_and_the_other_instruments_work():
    model = two_layers()
    shown = [(batch[None], torch.zeros(1, 40, dtype=torch.long)) for batch in images()]

    def loss(batch, labels):
        return nn.functional.cross_entropy(model(batch), labels, reduction="none").mean(1)

    scene = Scene(model.train(), loss, model, shown, 0.1)
    with pytest.raises(UserError, match=r"jacobian is for norm\.placement=before"):
        INSTRUMENTS["jacobian"](scene)
    for name, instrument in INSTRUMENTS.items():
        if name != "jacobian":
            assert all(values.shape == (2,) for values in instrument(scene).values()), name


def test_folding_leaves_what_comes_after_the_nonlinearity():
    """Breaks if it were folded into the convolution before."""
    config = config_of("experiment=figure2/bn_x5", SMOKE, AFTER)
    model, shown = build.network(config, [0], CPU, 10), torch.randn(4, 3, 32, 32)
    for _ in range(3):
        model.train()(shown)
    small = folded(model.eval())
    assert sum(name.endswith("running_mean") for name in small.state_dict()) == 69
    torch.testing.assert_close(small(shown), model(shown), rtol=1e-4, atol=1e-5)


def test_the_default_leaves_every_id_alone():
    plain, named, after = (
        config_of("experiment=figure1/bn", *more) for more in ([], ["norm.placement=before"], [AFTER])
    )
    assert run_name(plain, 0, "f") == run_name(named, 0, "f") != run_name(after, 0, "f")
    assert "placement" not in canonical(plain, "f") and '"placement":"after"' in canonical(after, "f")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("experiment=figure1/bn", "norm.placement=behind"), r"norm\.placement=behind is not one of before, after"),
        (
            ("experiment=figure1/plain", "+norm.placement=after"),
            r"norm=none has no norm\.placement; leave it at before",
        ),
    ],
)
def test_bad_placements_are_refused(overrides, said):
    with pytest.raises(UserError, match=said):
        config_of(*overrides)


@pytest.mark.parametrize("where", ["figure1/bn", "figure2/bn_x5", "googlenet/bn"])
def test_every_network_takes_real_steps_with_it(where, tmp_path):
    (record,) = finished(config_of(f"experiment={where}", AFTER, *TWO_STEPS, f"runs_dir={tmp_path}"))
    final = json.loads((record / "status.json").read_text())["final"]
    assert any(name.endswith("moving_average") for name in final)
    with np.load(record / "probes.npz") as arrays:
        assert "percentiles" in arrays.files and "percentiles_before" not in arrays.files
