"""The percentile probe on networks whose answer is known."""

import numpy as np
import torch

from bnrepro.evaluation.population import population_statistics
from bnrepro.layers import build_norm
from bnrepro.models.mlp import MLP
from bnrepro.probes.percentiles import PercentileProbe


def identity_network(norm: str) -> MLP:
    """One hidden layer of three units, each reading one input."""
    model = MLP([3, 3, 2], lambda c: build_norm(norm, c, eps=1e-9))
    model.hidden[0].linear.weight.data = torch.eye(3)[None]
    return model


def images() -> torch.Tensor:
    """10 batches of 60; input k of all of them is 0..599 times k."""
    return (torch.arange(600.0)[:, None] * torch.tensor([0.0, 1.0, 2.0])).view(10, 60, 3)


def test_percentiles_of_known_inputs():
    model = identity_network("none")
    probe = PercentileProbe(model, images(), [1, 5])
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
    probe = PercentileProbe(model, x, [3])
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
    with population_statistics(model, images()[:, None]):
        PercentileProbe(model, images(), [1])(1)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_restored_probe_goes_on():
    model = identity_network("bn")
    whole, first = PercentileProbe(model, images(), [1, 2]), PercentileProbe(model, images(), [1, 2])
    second = PercentileProbe(model, images(), [1, 2])
    for probe, step in ((whole, 1), (whole, 2), (first, 1)):
        with population_statistics(model, images()[:, None]):
            probe(step)
    second.restore([first.state(0)])
    with population_statistics(model, images()[:, None]):
        second(2)
    for name, value in whole.record(0).items():
        np.testing.assert_array_equal(second.record(0)[name], value)
