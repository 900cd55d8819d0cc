"""What ``benchmark.py train`` measures, with sizes that take seconds, and the record that it writes."""

import json

import pytest
import torch

from bnrepro.benchmarks import training
from bnrepro.cli import benchmark
from bnrepro.training import build

CPU = torch.device("cpu")


def test_networks_are_measured_beside_their_peers(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(training, "EXPERIMENTS", {"figure2/bn_x5": ["smoke"], "googlenet/bn": ["smoke"]})
    monkeypatch.setattr(training, "STEPS", {"smoke": 1})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "new" / "train.json"
    assert benchmark.main(["train", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert record["command"] == "python scripts/benchmark.py train" and record["processor"]
    assert [row["what"] for row in record["rows"]] == [
        "images/s, figure2/bn_x5, smoke, over timm's step",
        "images/s, googlenet/bn, smoke, over torchvision's googlenet",
    ]
    measured = record["raw"]["images/s"]["figure2/bn_x5, smoke"]
    assert measured.keys() == {"ours", "timm's step"}
    assert all(len(rates) == training.ROUNDS and min(rates) > 0 for rates in measured.values())
    ratios = [a / b for a, b in zip(measured["ours"], measured["timm's step"], strict=True)]
    assert record["rows"][0]["ratio"] == pytest.approx(sorted(ratios)[1])
    assert "images/s, figure2/bn_x5" in capsys.readouterr().out


def test_a_timed_step_is_the_loops_and_leaves_the_weights():
    config = training.configuration("figure2/bn_x5", "smoke")
    task = build.task(config, training.Noise(config, CPU), [0], CPU)
    before = {name: tensor.clone() for name, tensor in task.model.named_parameters()}
    training.our_step(config, task)()
    assert all(torch.equal(before[name], tensor) for name, tensor in task.model.named_parameters())
    assert task.model.stem.conv2.norm.running_mean.abs().sum() > 0 and task.model.training
