"""What ``benchmark.py gpu`` measures, tried on the CPU with sizes that take seconds."""

import pytest
import torch

from bnrepro.benchmarks import costs, steps, training
from bnrepro.benchmarks.steps import Setting
from bnrepro.errors import UserError
from bnrepro.training import build

CPU = torch.device("cpu")


def test_a_setting_is_measured_beside_timms_or_named_with_what_was_said(monkeypatch):
    def refuse(model, mode):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", refuse)
    config = steps.configuration("figure2/bn_x5", "smoke")
    rows, raw = training.by_setting(config, (2,), ("none", "default"), CPU, count=1)
    names = [str(Setting(2, precision)) for precision in training.PRECISIONS]
    assert list(raw["images/s"]) == names
    assert all(rate > 0 for peers in raw["images/s"].values() for rates in peers.values() for rate in rates)
    assert [row["what"] for row in rows] == [
        f"images/s, figure2/bn_x5, smoke, {name}, over timm's step" for name in names
    ]
    assert all(row["ratio"] > 0 for row in rows)
    compiled = [str(Setting(2, precision, compile="default")) for precision in training.PRECISIONS]
    assert raw["not measured"] == dict.fromkeys(compiled, "RuntimeError: no compiler here")


def test_a_timed_step_is_the_loops_and_leaves_the_weights():
    config, setting = steps.configuration("figure2/bn_x5", "smoke"), Setting(4, "bfloat16", channels_last=False)
    model = build.network(config, [0], CPU, 10)
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    steps.ours(config, model, steps.noise(32, 10, setting, CPU), setting, CPU)()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.named_parameters())
    assert model.stem.conv2.norm.running_mean.abs().sum() > 0 and model.training


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
    costs.show({("bn_inception", "paper"): costs.Speed(2000.0, "bfloat16")}, "card")
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.index("measured: images/s of one card") < head.index("setting") < head.index("extrapolated: hours")
    assert [row for row in rows if "not measured" in row] == [row for row in rows if "paper  Inception," in row]
    (printed,) = [row for row in rows if "BN-x5, to 72.2%" in row]
    assert printed.split()[-4:] == ["2,100,000", "2,000", "bfloat16", f"{2.1e6 * 32 / 2000 / 3600:.2f}"]
    assert len(rows) == 9
