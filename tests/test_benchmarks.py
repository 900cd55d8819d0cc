"""What ``benchmark.py train`` and ``gpu`` measure, with sizes that take seconds, and the records that they write."""

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


def test_a_gpu_is_measured_in_every_setting_and_a_setting_that_fails_is_recorded(monkeypatch, tmp_path, capsys):
    def measure(config, count):
        assert config.device == "cuda" and config.scale["name"] == "tiny64"
        if config.training.batch_size == 256:
            raise torch.cuda.OutOfMemoryError("out of memory\nand more")
        return "timm's step", {"ours": [3.0, 4.0, 5.0], "timm's step": [2.0, 2.0, 2.0]}

    out = tmp_path / "gpu.json"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert benchmark.main(["gpu", "--out", str(out)]) == 2
    assert "needs an NVIDIA GPU" in capsys.readouterr().err and not out.exists()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(training, "measure", measure)
    assert benchmark.main(["gpu", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert len(record["rows"]) == 12 and all(row["ratio"] == 2.0 and row["met"] for row in record["rows"])
    assert len(record["raw"]["not measured"]) == 6 and set(record["raw"]["not measured"].values()) == {"out of memory"}
