"""Every instrument on a case with a known answer, and what it leaves behind: nothing."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.functional import jacobian

from bnrepro.errors import UserError
from bnrepro.layers import build_norm
from bnrepro.models.mlp import MLP
from bnrepro.probes import instruments
from bnrepro.probes.instruments import INSTRUMENTS
from bnrepro.probes.of_activations import _shape
from bnrepro.probes.scene import Scene, sites
from bnrepro.tracking import mirrored
from bnrepro.training import build, experiment
from bnrepro.training.validation import typed
from conftest import compose_config

N = 40


def scene(norm: str = "none", nonlinearity: str = "sigmoid", sizes=(12, 9, 8, 5), rate: float = 0.1, batches: int = 2):
    """A small network with weights and images of its own, in training mode."""
    model = MLP(sizes, lambda c: build_norm(norm, c, eps=1e-5), nonlinearity).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    shown = [
        (
            torch.randn(1, N, sizes[0], generator=generator, dtype=torch.float64),
            torch.randint(0, sizes[-1], (1, N), generator=generator),
        )
        for _ in range(batches)
    ]

    def loss(images, labels):
        return F.cross_entropy(model(images), labels, reduction="none").mean(1)

    return Scene(model.train(), loss, model, shown, rate)


@pytest.mark.parametrize("norm", ["none", "bn"])
@pytest.mark.parametrize("name", INSTRUMENTS)
def test_an_instrument_gives_a_number_a_site_and_leaves_the_network_as_it_was(name, norm):
    looked_at = scene(norm)
    parameters = {n: p.clone() for n, p in looked_at.model.named_parameters()}
    found = INSTRUMENTS[name](looked_at)
    assert found and all(values.shape == (2,) for values in found.values())
    assert any(np.isfinite(values).any() for values in found.values())
    for n, parameter in looked_at.model.named_parameters():
        assert torch.equal(parameter, parameters[n]) and parameter.grad is None
    again = INSTRUMENTS[name](looked_at)
    assert all(np.array_equal(found[key], again[key], equal_nan=True) for key in found)


def test_gradients_are_those_of_the_loss():
    looked_at = scene()
    found = instruments.gradients(looked_at)
    looked_at.loss(*looked_at.batches[0]).sum().backward()
    for k, layer in enumerate(looked_at.model.hidden):
        norm = float(layer.linear.weight.grad.norm())
        assert found["weight"][k] == pytest.approx(norm)
        assert found["weight_relative"][k] == pytest.approx(norm / float(layer.linear.weight.detach().norm()))
    last = looked_at.model.hidden[-1]  # dL/dx = W_out^T (p - y) g'(x), by hand
    images, labels = looked_at.batches[0]
    u = looked_at.model.hidden[0](images.transpose(1, 2)).detach()
    x = last.linear(u).detach()
    p = looked_at.model.output(torch.sigmoid(x)).softmax(1) - F.one_hot(labels, 5).transpose(1, 2)
    by_hand = (looked_at.model.output.weight.transpose(1, 2) @ p / N) * torch.sigmoid(x) * (1 - torch.sigmoid(x))
    assert found["input_rms"][1] == pytest.approx(float(by_hand.square().mean().sqrt()))


def test_weights_and_moments():
    looked_at = scene("bn")
    for layer in looked_at.model.hidden:
        layer.linear.weight.data.zero_()[:, :, 0] = 2.0
        layer.norm.norm.weight.data.fill_(3.0)
    assert instruments.weights(looked_at)["norm"] == pytest.approx([2 * math.sqrt(9), 2 * math.sqrt(8)])
    found = instruments.moments(looked_at)
    first = torch.cat([images[0, :, 0] for images, _ in looked_at.batches])
    assert found["affine"][0] == pytest.approx(2 * float(first.std()))
    assert found["x"] == pytest.approx([3.0, 3.0], rel=0.02)  # gamma, whatever comes in


def test_saturation_of_a_sigmoid():
    """At x = 0 the derivative is 1/4 everywhere; far out nearly all of it is gone."""
    looked_at = scene()
    for layer in looked_at.model.hidden:
        layer.linear.weight.data.zero_()
        layer.linear.bias.data.zero_()
    found = instruments.saturation(looked_at)
    assert found["slope"] == pytest.approx([0.25, 0.25]) and found["share"] == pytest.approx([0, 0])
    looked_at.model.hidden[1].linear.bias.data.fill_(3.0)  # g'(3) = 0.0452
    assert instruments.saturation(looked_at)["share"] == pytest.approx([0, 1])


def test_a_sigmoid_is_nearly_a_line_near_zero_and_a_relu_is_one_above_it():
    looked_at = scene()
    looked_at.model.hidden[0].linear.weight.data *= 1e-3
    looked_at.model.hidden[0].linear.bias.data.zero_()
    found = instruments.linearity(looked_at)
    assert found["r2"][0] == pytest.approx(1, abs=1e-6) and found["inside_2"][0] == 1
    assert found["r2"][1] < 1
    looked_at = scene(nonlinearity="relu")
    looked_at.model.hidden[0].linear.bias.data.fill_(100.0)
    found = instruments.linearity(looked_at)
    assert found["r2"][0] == pytest.approx(1) and found["inside_2"][0] == 0


def test_shapes_of_known_distributions():
    rng = np.random.default_rng(0)
    normal = torch.from_numpy(rng.normal(3, 2, (4, 200_000)))
    skewness, kurtosis, negentropy, near_zero = _shape(normal - 3)
    assert skewness < 0.02 and kurtosis < 0.05 and negentropy < 1e-5 and near_zero == pytest.approx(0.008, abs=0.001)
    uniform = _shape(torch.from_numpy(rng.uniform(-1, 1, (1, 200_000))))
    assert uniform[0] < 0.02 and uniform[1] == pytest.approx(1.2, abs=0.02)
    exponential = _shape(torch.from_numpy(rng.exponential(1, (1, 400_000))))
    assert exponential[0] == pytest.approx(2, abs=0.05) and exponential[1] == pytest.approx(6, abs=0.6)
    assert exponential[2] > uniform[2] > 10 * negentropy
    relu = torch.from_numpy(rng.normal(0, 1, (1, 100_000))).clamp(min=0)
    assert _shape(relu)[3] == pytest.approx(0.5, abs=0.01)
    assert math.isnan(_shape(torch.zeros(2, 10))[0])  # no unit varies


def test_shift_is_the_change_of_a_gradient_by_the_earlier_layers_step():
    looked_at = scene()
    found = instruments.shift(looked_at)
    assert found["difference"][0] == 0 and found["cosine"][0] == pytest.approx(1)  # nothing is earlier than the first
    images, labels = looked_at.batches[0]
    model, (first, second) = looked_at.model, looked_at.model.hidden
    g = torch.autograd.grad(looked_at.loss(images, labels).sum(), [*first.parameters(), second.linear.weight])
    with torch.no_grad():
        for parameter, gradient in zip(first.parameters(), g[:-1], strict=True):
            parameter -= 0.1 * gradient
    (after,) = torch.autograd.grad(looked_at.loss(images, labels).sum(), [model.hidden[1].linear.weight])
    assert found["difference"][1] == pytest.approx(float((g[-1] - after).norm()))
    assert found["relative"][1] == pytest.approx(float((g[-1] - after).norm() / g[-1].norm()))
    assert instruments.shift(scene(rate=0.0))["difference"] == pytest.approx([0, 0])


def test_amplification_of_a_step_down_the_gradient():
    """The first layer's x moves by what its weights do: by hand."""
    looked_at = scene()
    found = instruments.amplification(looked_at)
    images, labels = looked_at.batches[0]
    layer = looked_at.model.hidden[0].linear
    (g,) = torch.autograd.grad(looked_at.loss(images, labels).sum(), [layer.weight])
    moved = 0.01 * layer.weight.norm() * g / g.norm()
    x = layer(images.transpose(1, 2))
    expected = (moved @ images.transpose(1, 2)).norm() / x.norm()
    assert found["relative"][0] == pytest.approx(float(expected))


def test_jacobian_of_an_orthogonal_layer():
    """Without BN and with a ReLU that is open everywhere the map is W, and its singular values are W's."""
    looked_at = scene(nonlinearity="relu", sizes=(12, 8, 8, 5))
    first, second = looked_at.model.hidden
    first.linear.bias.data.fill_(100.0)
    second.linear.weight.data[0] = 3 * torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))[0]
    found = instruments.jacobian(looked_at)
    assert math.isnan(found["p50"][0])
    assert [found[name][1] for name in ("p10", "p50", "p90")] == pytest.approx([3, 3, 3])
    second.linear.weight.data[0] = torch.diag(torch.arange(1.0, 9.0, dtype=torch.float64))
    assert instruments.jacobian(looked_at)["p50"][1] == pytest.approx(4.5)


def test_jacobian_with_bn_is_that_of_the_normalised_map():
    looked_at = scene("bn", sizes=(12, 8, 8, 5))
    first, second = looked_at.model.hidden
    first.norm.norm.bias.data.zero_()
    found = instruments.jacobian(looked_at)
    images, _ = looked_at.batches[0]
    y = first.norm(first.linear(images.transpose(1, 2))).detach()  # gamma x-hat
    affine = second.linear(torch.sigmoid(y)).detach()[0]
    sigma = (affine.var(1, unbiased=False) + 1e-5).sqrt()

    def forward(x_hat):
        return second.linear.weight[0] @ torch.sigmoid(first.norm.norm.weight * x_hat) / sigma

    x_hat = (y[0] / first.norm.norm.weight[:, None]).detach()
    values = [torch.linalg.svdvals(jacobian(forward, x_hat[:, k])) for k in range(N)]
    assert found["p50"][1] == pytest.approx(float(torch.quantile(torch.cat(values), 0.5)), rel=1e-5)


def test_the_jacobian_of_bn_without_gamma_is_that_with_a_gamma_of_one():
    looked_at = scene("bn", sizes=(12, 8, 8, 5))
    norms = [layer.norm.norm for layer in looked_at.model.hidden]
    for norm in norms:
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)
    expected = instruments.jacobian(looked_at)["p50"][1]
    for norm in norms:
        norm.weight = norm.bias = None
    assert instruments.jacobian(looked_at)["p50"][1] == pytest.approx(expected)


def test_dropout_is_no_noise_of_the_batch():
    config = typed(compose_config("experiment=figure2/inception", "scale=smoke", "model.dropout=0.4"))
    model = build.network(config, [0], torch.device("cpu")).train()
    batches = [(torch.randn(8, 3, 32, 32, generator=torch.manual_seed(k)), torch.zeros(8)) for k in (0, 1)]
    looked_at = Scene(model, lambda *_: None, model, batches, 0.1)
    assert instruments.batch_noise(looked_at)["share"][0] == pytest.approx(0, abs=1e-9)
    assert all(module.training for module in model.modules())


def test_batch_mates_speak_with_bn_only():
    assert instruments.batch_noise(scene("none"))["share"][0] == pytest.approx(0, abs=1e-20)
    few, many = (instruments.batch_noise(scene("bn", batches=b))["share"][0] for b in (2, 2))
    assert few == many > 1e-4


def test_unsteadiness_is_that_of_the_means_of_mini_batches():
    """Without BN it is what the means say; with BN every mini-batch has the same means; noise moves them."""
    plain, steady, noisy = (scene(norm, batches=6) for norm in ("none", "bn", "noisy_bn"))
    first = plain.model.hidden[0]
    x = [first.linear(images.mT)[0] for images, _ in plain.batches]  # (units, N) each
    means, values = torch.stack([of_batch.mean(1) for of_batch in x]), torch.cat(x, 1)
    found = instruments.unsteadiness(plain)["mean"]
    assert found[0] == pytest.approx(float((means.var(0).mean() / values.var(1).mean()).sqrt().detach()), rel=1e-5)
    assert (instruments.unsteadiness(steady)["mean"] < 1e-5).all()
    assert (instruments.unsteadiness(noisy)["mean"] > 0.15).all()


def test_every_nonlinearity_of_inception_is_a_site():
    config = typed(compose_config("experiment=figure2/bn_x5", "scale=smoke"))
    found = sites(build.network(config, [0], torch.device("cpu")))
    assert len(found) == 69 and found[0].name == "stem.conv1" and found[-1].name == "rows.5b.projection"


@pytest.mark.parametrize("name", ["figure1/bn", "figure2/inception"])
def test_any_run_takes_instruments_keeps_and_resumes_them(name, tmp_path):
    options = (
        f"experiment={name}", "scale=smoke", "scale.imagenet.images_per_class=10", "training.steps=6",
        "evaluation.every=3", "probe.every=3", "probe.batches=2", "evaluation.population_batches=2",
        "probe.instruments=[gradients,weights,moments,saturation,shift,amplification,batch_noise,unsteadiness]",
        f"runs_dir={tmp_path}", "logger.mode=disabled",
    )  # fmt: skip
    (outcome,) = experiment.run(typed(compose_config(*options)), "test")
    assert outcome.state == "finished", outcome.message
    with np.load(tmp_path / outcome.name / "probes.npz") as arrays:
        record = {key: arrays[key] for key in arrays.files}
    count = 3 if name == "figure1/bn" else 69
    assert record["sites"].shape == (count,) and record["gradients/weight"].shape == (len(record["steps"]), count)
    assert (record["weights/norm"] > 0).all() and np.isfinite(record["gradients/weight"]).all()
    assert "percentiles" in record
    step, values = mirrored.rows([], record)[-1]
    assert step == record["steps"][-1] and f"weights/norm/{record['sites'][0].replace('.', '_')}" in values
    alone = {key: record[key] for key in ("steps", "sites", "weights/norm")}  # instruments without percentiles
    assert len(mirrored.rows([], alone)[0][1]) == count


def test_an_unknown_instrument_is_refused(tmp_path):
    options = ("experiment=figure1/bn", "scale=smoke", "probe.instruments=[gradient]", f"runs_dir={tmp_path}")
    (outcome,) = experiment.run(typed(compose_config(*options, "logger.mode=disabled")), "test")
    assert outcome.state == "refused" and "did you mean gradients" in outcome.message
    with pytest.raises(UserError, match="single multilayer perceptron"):
        config = typed(compose_config("experiment=figure2/bn_x5", "scale=smoke"))
        model = build.network(config, [0], torch.device("cpu"))
        INSTRUMENTS["jacobian"](Scene(model, lambda *_: None, model, [], 0.1))
