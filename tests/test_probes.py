"""The percentile probe on networks whose answer is known."""

import numpy as np
import torch
from torch import nn

from bnrepro.layers import build_norm
from bnrepro.models.convolution import Build, ConvUnit
from bnrepro.models.mlp import MLP
from bnrepro.probes import percentiles
from bnrepro.probes.percentiles import PercentileProbe
from bnrepro.training.population import population_statistics


def identity_network(norm: str) -> MLP:
    """One hidden layer of three units, each reading one input."""
    model = MLP([3, 3, 2], lambda c: build_norm(norm, c, eps=1e-9))
    model.hidden[0].linear.weight.data = torch.eye(3)[None]
    return model


def images() -> torch.Tensor:
    """10 batches of 60; input k of all of them is 0..599 times k."""
    return (torch.arange(600.0)[:, None] * torch.tensor([0.0, 1.0, 2.0])).view(10, 60, 3)


def shown() -> list[torch.Tensor]:
    return list(images()[:, None])


def test_percentiles_of_known_inputs():
    model = identity_network("none")
    probe = PercentileProbe(model, model, shown(), [1, 5])
    for step in range(1, 7):
        probe(step)
    record = probe.record(0)
    assert record["steps"].tolist() == [1, 5]
    assert record["layers"].tolist() == [1, 1, 1] and record["units"].tolist() == [0, 1, 2]
    assert record["percentiles"].shape == (2, 3, 3) and record["percentiles"].dtype == np.float16
    expected = np.percentile(np.arange(600), (15, 50, 85))
    np.testing.assert_allclose(record["percentiles"][0], [0 * expected, expected, 2 * expected], rtol=1e-3)
    assert "percentiles_before" not in record and "percentiles_inference" not in record


def test_three_views_of_a_normalised_network():
    """Before: W u. Training: each batch by its own statistics. Inference: all by the population's."""
    model = identity_network("bn")
    x = images()[:, :, [1, 2, 1]]
    probe = PercentileProbe(model, model, list(x[:, None]), [3])
    with population_statistics(model, x[:, None]):
        probe(3)
        assert not model.training
    record = {name: value[0, 0].astype(float) for name, value in probe.record(0).items() if value.ndim == 3}
    flat = x[:, :, 0].numpy()
    per_batch = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
    population = (flat - flat.mean()) / np.sqrt(60 / 59 * flat.var(1).mean())
    for name, values in (("before", flat), ("training", per_batch), ("inference", population)):
        key = "percentiles" if name == "training" else f"percentiles_{name}"
        np.testing.assert_allclose(record[key], np.percentile(values, (15, 50, 85)), rtol=2e-3, atol=1e-3)


def test_probing_leaves_the_network_as_it_was():
    model = identity_network("bn").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with population_statistics(model, shown()):
        PercentileProbe(model, model, shown(), [1])(1)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_restored_probe_goes_on():
    model = identity_network("bn")
    whole, first = PercentileProbe(model, model, shown(), [1, 2]), PercentileProbe(model, model, shown(), [1, 2])
    second = PercentileProbe(model, model, shown(), [1, 2])
    for probe, step in ((whole, 1), (whole, 2), (first, 1)):
        with population_statistics(model, shown()):
            probe(step)
    second.restore([first.state(0)])
    with population_statistics(model, shown()):
        second(2)
    for name, value in whole.record(0).items():
        np.testing.assert_array_equal(second.record(0)[name], value)


def one_unit(norm: str, channels: int = 8, size: int = 4) -> nn.Module:
    """A convolution that hands its input on, channel c times c + 1."""
    unit = ConvUnit(channels, channels, 1, size, Build(lambda c, spatial: build_norm(norm, c, eps=1e-9), "relu", 1.0))
    unit.conv.weight.data = torch.diag(torch.arange(1.0, channels + 1))[:, :, None, None]
    if unit.conv.bias is not None:
        unit.conv.bias.data.zero_()
    return nn.Sequential(unit)


def maps(count: int = 2, channels: int = 8, size: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(32, channels, size, size, generator=generator) + k for k in range(count)]


def test_layers_percentiles_are_pooled_and_of_four_channels():
    model, batches = one_unit("none"), maps()
    probe = PercentileProbe(model, model, batches, [3])
    probe(3)
    probe(4)
    record = probe.record(0)
    assert record["steps"].tolist() == [3] and record["layer_names"].tolist() == ["0"]
    assert record["units"].tolist() == [-1, 0, 2, 4, 6] and record["layers"].tolist() == [0] * 5
    x = torch.cat(batches).numpy() * np.arange(1, 9)[:, None, None]
    expected = [np.percentile(x, (15, 50, 85)), *(np.percentile(x[:, c], (15, 50, 85)) for c in (0, 2, 4, 6))]
    np.testing.assert_allclose(record["percentiles"][0].astype(float), expected, rtol=2e-3, atol=2e-3)
    assert record["percentiles"].dtype == np.float16 and "percentiles_before" not in record


def test_layers_percentiles_before_and_after_bn():
    model, batches = one_unit("bn"), maps()
    probe = PercentileProbe(model, model, batches, [1])
    with population_statistics(model, batches):
        probe(1)
        assert not model.training
    record = probe.record(0)
    raw = [batch.numpy() * np.arange(1, 9)[:, None, None] for batch in batches]
    each = [(x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True) for x in raw]
    for key, values in (("percentiles_before", raw), ("percentiles", each)):
        expected = np.percentile(np.concatenate(values)[:, 4], (15, 50, 85))
        np.testing.assert_allclose(record[key][0, 3].astype(float), expected, rtol=3e-3, atol=3e-3)


def test_of_large_maps_every_column_and_row_is_sampled(monkeypatch):
    """A bright border must not stand for the whole map."""
    monkeypatch.setattr(percentiles, "SAMPLE_SIZE", 2048)
    model = one_unit("none", channels=8, size=16)
    batch = torch.zeros(32, 8, 16, 16)
    batch[..., 0] = 1
    probe = PercentileProbe(model, model, [batch, batch], [1])
    probe(1)
    assert (probe.record(0)["percentiles"][0, 0] == 0).all()


def test_a_restored_layer_probe_goes_on():
    model, batches = one_unit("bn"), maps()
    whole, first, second = (PercentileProbe(model, model, batches, [1, 2]) for _ in range(3))
    for probe, step in ((whole, 1), (whole, 2), (first, 1)):
        probe(step)
    second.restore([first.state(0)])
    second(2)
    for name, value in whole.record(0).items():
        np.testing.assert_array_equal(second.record(0)[name], value)
