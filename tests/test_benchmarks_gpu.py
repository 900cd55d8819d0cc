"""What ``benchmark.py gpu`` measures, tried on the CPU with sizes that take seconds."""

import time

import pytest
import torch

from bnrepro.benchmarks import costs, curves, gpu, gpu_cells, gpu_rows, steps
from bnrepro.benchmarks.cells import Ceilings, Cells, Effort, ceilings
from bnrepro.benchmarks.steps import NeedsGPU, Setting
from bnrepro.errors import UserError
from bnrepro.models.cost import Cost
from bnrepro.records.files import write_json

CPU = torch.device("cpu")
TINY = gpu_cells.Sizes(
    scales=("smoke",),
    batches=(2,),
    mlp_batches=(2, 60),
    side_by_side=(1, 2),
    side_by_side_seconds=0.05,
    product=32,
    copied=2**12,
    loader_batches=2,
    effort=Effort(warm=1, rounds=1, seconds=1e-6),
)


@pytest.fixture
def compiled(monkeypatch) -> list[str]:
    """The modes that compilation was asked for; nothing is compiled."""
    asked = []
    monkeypatch.setattr(torch, "compile", lambda model, mode: asked.append(mode) or model)
    return asked


def test_everything_is_measured_or_named(monkeypatch, compiled, tmp_path):
    """The processes side by side, which take longest, are stood in for; see the next test."""
    monkeypatch.setattr(gpu_cells.copies, "together", lambda *_: {1: 100.0, 2: 150.0})
    rows, raw = gpu.measure(CPU, TINY)
    write_json(tmp_path / "gpu.json", {"rows": rows, "raw": raw})
    rates, missing = raw["images/s (steps/s of an MLP)"], raw["not measured"]
    assert set(missing) == {"needs a GPU", gpu_cells.SUBSET, gpu_cells.MLP_FLOAT, gpu_cells.MLP_SUBSET}
    assert not [name for name in rates if "tf32" in name or "CUDA graph" in name] and raw["curves"] is None
    assert curves.WHAT in missing["needs a GPU"]
    names = [name for left in missing.values() for name in left]
    assert len(names) == len(set(names)) and not set(names) & set(rates)
    for network in ("bn_inception", "inception"):  # 3 precisions x 2 formats x 3 modes, and one tuned
        table = [name for name in (*rates, *names) if name.startswith(f"{network}, smoke, batch 2,")]
        assert len(table) == 3 * 2 * 3 + 1
    assert len([name for name in (*rates, *names) if name.startswith("MLP with BN, batch 60,")]) == 3 * 3
    assert compiled == ["default"] * 4
    assert raw["share of the roofline"].keys() == {n for n in rates if "MLP" not in n and "torchvision" not in n}
    assert all(share > 0 for share in raw["share of the roofline"].values())
    assert raw["resident loader, seconds a batch"].keys() == {2}
    targets = [(row["what"].split(",")[0], row["target"]) for row in rows]
    assert ("images/s", ">= 3") in targets and targets.count(("images/s", "> 1")) == 2
    assert ("resident loader's share of a step", "< 0.03") in targets
    assert rows[0]["what"].endswith("over bn_inception, smoke, batch 2, float32, NCHW, eager")
    assert [row["ratio"] for row in rows if "side by side over one" in row["what"]] == [1.5, 1.5]


def test_processes_side_by_side(monkeypatch):
    monkeypatch.setattr(gpu_cells.copies, "PATIENCE", 500.0)  # beside other tests a process may be slow to begin
    found = gpu_cells.copies.together("figure2/bn_x5", "smoke", Setting(2, "bfloat16"), CPU, (1, 2), 0.05, 1)
    assert found.keys() == {1, 2} and all(rate > 0 for rate in found.values())


def test_what_has_no_time_or_fails_is_named():
    cells = Cells(CPU, Effort(0, 1, 1e-6), until=time.monotonic() + 10)
    cells.time("compiled", "slow", lambda: lambda: None, 1)
    cells.time("eager", "broken", lambda: {}["setting"], 1)
    cells.time("eager", "good", lambda: lambda: None, 1)
    assert cells.missing == {"no time left": ["slow"], "KeyError: 'setting'": ["broken"]}
    assert list(cells.rates) == list(cells.first) == ["good"] and cells.rate("slow") is None
    late = Cells(CPU, Effort(), until=time.monotonic())
    late.time("eager", "late", lambda: lambda: None, 1)
    assert late.missing == {"no time left": ["late"]}


def test_the_roofline_is_the_larger_of_two_times():
    cost = Cost(multiply_adds=100, of_first=10, activations=40, weights=5, shapes={})
    flops, moved = cost.step_flops(4), cost.step_bytes(4, 2)
    assert Ceilings(flops, 1e9).share(cost, 4, "bfloat16", rate=0.5) == pytest.approx(0.5)
    assert Ceilings(1e9, moved).share(cost, 4, "bfloat16", rate=0.5) == pytest.approx(0.5)
    assert Ceilings(1e9, moved).share(cost, 4, "float32", rate=0.5) > 0.5
    found = ceilings(CPU, 16, 2**10, Effort(0, 1, 1e-6))
    assert found.flops > 0 and found.bytes > 0


def test_a_timed_step_is_the_loops_and_leaves_the_weights():
    config = steps.configuration("figure2/bn_x5", "smoke")
    setting = Setting(4, "bfloat16", channels_last=False)
    of = gpu_cells.network("bn_inception", "figure2/bn_x5", "smoke", CPU)
    before = {name: tensor.clone() for name, tensor in of.model.named_parameters()}
    step = steps.ours(config, of.model, steps.noise(32, 10, setting, CPU), setting, CPU)
    step()
    assert all(torch.equal(before[name], tensor) for name, tensor in of.model.named_parameters())
    assert of.model.stem.conv2.norm.running_mean.abs().sum() > 0 and of.model.training


def test_without_a_gpu_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="needs an NVIDIA GPU"):
        gpu.main(tmp_path / "gpu.json", "python scripts/benchmark.py gpu", quick=180.0)
    assert not (tmp_path / "gpu.json").exists()


def synthetic(path) -> None:
    """A record of a card on which BN-Inception does 1,000 images/s at batch 32, with twice that when compiled."""
    rates = {
        "bn_inception, paper, batch 32, bfloat16, channels_last, eager": [900.0, 1000.0, 5000.0],
        "bn_inception, paper, batch 32, bfloat16, channels_last, CUDA graph": [2000.0] * 3,
        "bn_inception, paper, batch 256, bfloat16, channels_last, CUDA graph": [9000.0] * 3,
        "timm's step, bn_inception, paper, batch 32, bfloat16, channels_last, eager, tuned": [9000.0] * 3,
    }
    weights = {"bn_inception, paper": 11_250_000, "inception, paper": 11_250_000}
    write_json(path, {"raw": {"device": "card", "images/s (steps/s of an MLP)": rates, "weights": weights}})


def test_costs_keep_apart_what_is_measured_and_what_is_extrapolated(tmp_path, capsys):
    synthetic(tmp_path / "gpu.json")
    speeds, device = costs.of_record(tmp_path / "gpu.json")
    fastest = costs.Speed(2000.0, "bfloat16, channels_last, CUDA graph", 11_250_000)
    assert (speeds, device) == ({"bn_inception, paper": fastest}, "card")
    assert fastest.hours(2.25e6, 1) == pytest.approx(2.25e6 * 32 / 2000 / 3600) == pytest.approx(10)
    moved = 2 * 7 / 8 * 4 * 11_250_000 / 450e9  # seconds a step
    assert fastest.hours(2.25e6, 8) == pytest.approx((10 + 2.25e6 * moved / 3600) / 8)
    assert fastest._replace(weights=0).hours(2.25e6, 64) == pytest.approx(10 / 64)
    gpu.main(tmp_path / "none.json", "", record=tmp_path / "gpu.json")
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.index("measured: images/s of one card") < head.index("setting") < head.index("extrapolated: hours")
    assert all(f"{n} devices: hours (device-hours)" in head for n in (8, 64))
    assert [row for row in rows if "not measured" in row] == [row for row in rows if "paper  Inception," in row]
    (printed,) = [row for row in rows if "BN-x5, to 72.2%" in row]
    assert printed.split()[-11:-8] == ["2,100,000", "2,000", "bfloat16,"]
    hours = fastest.hours(2.1e6, 64)
    assert f"{fastest.hours(2.1e6, 1):.2f}" in printed and f"{hours:.2f} ({64 * hours:.2f})" in printed
    assert len(rows) == 9 and not (tmp_path / "none.json").exists()


@pytest.mark.parametrize("content", [None, "{}", '{"raw": {}}', '{"raw": 3}'])
def test_costs_of_no_record_are_refused(tmp_path, content):
    if content:
        (tmp_path / "gpu.json").write_text(content)
    with pytest.raises(UserError, match=r"is no record of benchmark\.py gpu"):
        costs.of_record(tmp_path / "gpu.json")


def test_a_curve_is_judged_by_another_seeds():
    found = {"bfloat16, none": [3.1, 2.1], "float32": [3.0, 2.0], "float32, another seed": [3.2, 2.2]}
    assert curves.ratio(found) == pytest.approx(0.5, abs=1e-4)
    (row,) = gpu_rows.rows_of_curve(found)
    assert row["met"] and row["target"] == "< 1.5" and "bfloat16, none from float32" in row["what"]
    assert not gpu_rows.rows_of_curve(found | {"bfloat16, none": [3.6, 2.6]})[0]["met"]
    assert not gpu_rows.rows_of_curve(None)
    with pytest.raises(NeedsGPU):
        curves.compared(CPU, "bfloat16", "reduce-overhead")


def test_a_loss_that_is_not_finite_is_no_curve(monkeypatch):
    monkeypatch.setattr(curves, "losses", lambda on, seed, *_: torch.tensor([1.0, float("nan")]))
    with pytest.raises(FloatingPointError):
        curves.compared(CPU, "bfloat16", "none")
