"""What ``benchmark.py gpu`` measures, tried on the CPU with sizes that take seconds."""

import pytest
import torch

from bnrepro.benchmarks import steps, training
from bnrepro.errors import UserError
from bnrepro.training import build

CPU = torch.device("cpu")


def test_a_setting_is_measured_beside_timms_or_named_with_its_error(monkeypatch):
    def refuse(model, mode):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", refuse)
    settings = [(precision, mode) for mode in ("none", "default") for precision in training.PRECISIONS]
    work = [
        steps.configuration("figure2/bn_x5", "smoke", batch_size=2, precision=precision, compile=mode)
        for precision, mode in settings
    ]
    rows, raw, speeds = training.compare(((config, 1) for config in work), torch.channels_last, warm=1)
    names = [f"figure2/bn_x5, smoke, batch 2, {precision}, compile none" for precision in training.PRECISIONS]
    assert list(raw["images/s"]) == names and [config for config, _ in speeds] == work[: len(names)]
    assert all(rate > 0 for peers in raw["images/s"].values() for rates in peers.values() for rate in rates)
    assert [row["what"] for row in rows] == [f"images/s, {name}, over timm's step" for name in names]
    assert all(row["ratio"] > 0 for row in rows)
    compiled = [name.replace("compile none", "compile default") for name in names]
    assert raw["not measured"] == dict.fromkeys(compiled, "RuntimeError: no compiler here")


def test_a_timed_step_is_the_loops_and_leaves_the_weights():
    config = steps.configuration("figure2/bn_x5", "smoke", batch_size=4, precision="bfloat16")
    task = build.task(config, steps.Noise(config, CPU), [0], CPU)
    before = {name: tensor.clone() for name, tensor in task.model.named_parameters()}
    steps.ours(config, task)()
    assert all(torch.equal(before[name], tensor) for name, tensor in task.model.named_parameters())
    assert task.model.stem.conv2.norm.running_mean.abs().sum() > 0 and task.model.training


def test_the_peer_of_googlenet_is_torchvisions():
    config = steps.configuration("googlenet/bn", "smoke", batch_size=2)
    data = steps.Noise(config, CPU)
    steps.peers(config, data, CPU, torch.contiguous_format)()


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        ("figure2/bn_x5", "needs an NVIDIA GPU"),
        ("figure2/bn_x6", "did you mean figure2/bn_x5"),
        ("figure1/bn", "trains mlp; choose"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(monkeypatch, tmp_path, experiment, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=said):
        training.gpu(tmp_path / "gpu.json", "python scripts/benchmark.py gpu", experiment, "tiny64")
    assert not (tmp_path / "gpu.json").exists()


def test_costs_keep_apart_what_is_measured_and_what_is_extrapolated(capsys):
    networks = [("figure2/bn_x5", "paper", 2000.0), ("figure2/inception", "laptop", 500.0)]
    speeds = [(steps.configuration(experiment, scale), speed) for experiment, scale, speed in networks]
    training.show_costs(speeds, "card")
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.index("measured: images/s (card)") < head.index("extrapolated: hours")
    assert len(rows) == 3
    (printed,) = [row for row in rows if "to 72.2% as printed" in row]
    assert "figure2/bn_x5, paper, batch 32, float32" in printed
    assert printed.split()[-3:] == ["2,100,000", "2,000", f"{2.1e6 * 32 / 2000 / 3600:.2f}"]
