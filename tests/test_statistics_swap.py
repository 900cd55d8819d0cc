"""Trained networks with other statistics in their normalisers: what is known by hand, a run's record, refusals."""

import copy
import json

import pytest
import torch
from torch import nn

from bnrepro.cli import swap_statistics
from bnrepro.data import load
from bnrepro.errors import UserError
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.training.population import batch_norms, population_statistics
from bnrepro.use import swap
from bnrepro.use.swap import accuracies, mini_batches, shifted, with_batch_statistics
from bnrepro.use.trained import trained
from conftest import ROOT
from launches import trained_here
from norms import NO_EPS

CPU = torch.device("cpu")
X5 = ("scale=smoke", "experiment=claims/x5", "logger.mode=disabled", "evaluation.population_batches=10")
SHORT = ("scale.imagenet.images_per_class=2", "training.batch_size=4", "training.steps=1")


@pytest.fixture(scope="module")
def x5(tmp_path_factory):
    """Trained on 100 digits, judged on 100 others; its last normalisers are of each activation, and it has dropout."""
    torch.set_num_threads(1)
    network = ("norm=bn", "+norm.last=per_activation", "model.dropout=0.3")
    training = ("training.steps=60", "training.batch_size=16", "optimizer.lr_multiplier=10", "evaluation.every=100")
    data = ("scale.imagenet.images_per_class=10", "augment=none")
    return trained_here(tmp_path_factory.mktemp("swap") / "runs", *X5, *network, *training, *data)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    torch.set_num_threads(1)
    return trained_here(tmp_path_factory.mktemp("plain") / "runs", *X5, *SHORT, "norm=none")


class Toy(nn.Module):
    """An unpadded convolution, BN without eps, ReLU, global pool, linear; float64."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 5, 3, bias=False), BatchNorm(5, eps=NO_EPS), nn.ReLU(), nn.Conv2d(5, 6, 1, bias=False)
        )
        self.layers += nn.Sequential(BatchNorm(6, eps=NO_EPS), nn.ReLU(), nn.AvgPool2d(6), nn.Flatten())
        self.layers.append(nn.Linear(6, 4))
        self.double().eval()

    def forward(self, x):
        return self.layers(x)


def images(count: int, pixels: int = 8) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, pixels, pixels, generator=rng, dtype=torch.float64) * 2 - 1


def adapted(network: nn.Module, domain: torch.Tensor, size: int = 10) -> torch.Tensor:
    """Logits of a domain by Alg. 2's statistics of that domain."""
    with population_statistics(network, (domain[k] for k in mini_batches(len(domain), size))):
        return network(domain).detach()


def test_every_image_is_in_one_mini_batch_and_none_is_small():
    for count, size, sizes in ((100, 32, [32, 32, 36]), (64, 32, [32, 32]), (63, 32, [63]), (5, 32, [5])):
        found = mini_batches(count, size)
        assert [len(batch) for batch in found] == sizes
        assert sorted(torch.cat(found).tolist()) == list(range(count))
        assert all(torch.equal(a, b) for a, b in zip(found, mini_batches(count, size), strict=True))
    by_class = torch.arange(1000) // 50  # as validation images are stored; 20 classes
    assert min(len(by_class[batch].unique()) for batch in mini_batches(1000, 32)) > 10


def test_adaptation_undoes_an_affine_shift_of_each_channel():
    """Its input enters BN by a linear map alone: W(a x + b) has mean and deviation that take a and b out again."""
    network, x = Toy(), images(43)
    for there in (shifted(x), 3 * x - 7):
        torch.testing.assert_close(adapted(network, there), adapted(network, x), rtol=0, atol=1e-11)
        assert (network(there) - network(x)).abs().max() > 0.01


def test_in_inception_lower_contrast_is_undone_and_brightness_is_not_at_its_zero_padding(x5):
    network = copy.deepcopy(trained(x5, CPU).network).double()
    for norm in batch_norms(network):
        norm.eps = NO_EPS
    x = images(8, pixels=32)
    torch.testing.assert_close(adapted(network, 0.5 * x, 4), adapted(network, x, 4), rtol=1e-6, atol=1e-6)
    assert (adapted(network, shifted(x), 4) - adapted(network, x, 4)).abs().max() > 1e-3


def test_one_mini_batch_by_its_own_statistics_by_hand():
    network, x = Toy(), images(12)
    first = network.layers[0](x).detach()
    mean, deviation = first.mean((0, 2, 3), keepdim=True), first.std((0, 2, 3), keepdim=True, correction=0)
    found = with_batch_statistics(network).layers[:2](x)
    torch.testing.assert_close(found, (first - mean) / deviation, rtol=0, atol=1e-12)


def test_each_accuracy_is_by_the_statistics_that_it_names():
    """With what a way of normalising answers as the labels, that way is right everywhere, and no unlike one is."""
    network, x = Toy(), images(203)
    for norm in batch_norms(network):
        norm.eps = 0.1  # so that adaptation does not undo the shift exactly
    with population_statistics(network, [0.9 * x[:50]]):
        stored = copy.deepcopy(network.state_dict())
    network.load_state_dict(stored)
    network.layers[-1].bias.data -= network(x).detach().mean(0)  # so that no class is said of all images
    own = torch.empty(203, dtype=torch.int64)
    for batch in mini_batches(203, 10):
        own[batch] = with_batch_statistics(network)(x[batch]).argmax(1)
    there = shifted(x)
    answers = {"population": network(x), "shifted": network(there), "shifted_adapted": adapted(network, there)}
    for name, labels in ({kind: said.argmax(1) for kind, said in answers.items()} | {"batch": own}).items():
        assert [kind for kind, value in accuracies(network, x, labels, 10).items() if value == 1] == [name]


def test_only_normalisers_are_in_training_mode_and_the_network_is_left_as_it_was(x5):
    network = trained(x5, CPU).network
    before = copy.deepcopy(network.state_dict())
    other = with_batch_statistics(network)
    assert network.drop_rate == 0.3 and len(batch_norms(network)) > 50
    assert {type(m) for m in other.modules() if m.training} == {type(norm) for norm in batch_norms(network)}
    x = images(40, pixels=32).float()
    assert torch.equal(other(x), other(x))  # no dropout
    accuracies(network, x, torch.arange(40) % 10, 16)
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_run_measured_and_recorded(x5, tmp_path, capsys):
    out = tmp_path / "new" / "statistics.json"
    assert swap_statistics.main([str(x5), "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    final = json.loads((x5 / "status.json").read_text())["final"]
    found = record["runs"][x5.name]
    assert list(record["runs"]) == [x5.name]
    assert found["population"] == final["val/top1"] > 0.2
    assert abs(found["batch"] - found["population"]) < 0.15
    assert found["shifted"] < found["shifted_adapted"]
    assert record["command"] == f"python scripts/swap_statistics.py runs/{x5.name}"
    assert {"measured", "commit", "commit_dirty", "packages", "shift"} <= record.keys()
    assert str(tmp_path) not in out.read_text() and str(ROOT) not in out.read_text()
    assert x5.name in capsys.readouterr().out


def test_refusals_are_one_line_and_nothing_is_written(x5, plain, tmp_path, capsys):
    (tmp_path / "file").touch()
    for words, expected in (
        ([plain], "has norm=none, without statistics to exchange; choose runs with norm=bn"),
        ([x5, plain], "has norm=none"),
        ([tmp_path / "nowhere"], "no run in"),
        ([x5, "--out", tmp_path / "file" / "statistics.json"], "file"),
    ):
        out = [] if "--out" in words else ["--out", tmp_path / "statistics.json"]
        assert swap_statistics.main([str(word) for word in [*words, *out]]) == 2, words
        message = capsys.readouterr().err
        assert message.startswith("error: ") and message.count("\n") == 1 and expected in message, message
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_another_data_set_and_other_normalisers_are_refused(x5, monkeypatch):
    monkeypatch.setattr(load, "fingerprint", lambda data: "another")
    with pytest.raises(UserError, match="data/mnist is not the data set that"):
        swap.measure(x5)
    for section, key, value, expected in (
        ("norm", "name", "noisy_bn", "has norm=noisy_bn, without"),
        ("norm", "last", "layer_norm", "has norm=layer_norm, without"),
        ("data", "name", "imagenet", "does not read small pictures"),
    ):
        network = trained(x5, CPU)
        setattr(getattr(network.config, section), key, value)
        with pytest.raises(UserError, match=expected):
            swap.check(network)
