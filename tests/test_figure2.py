"""Figures 2 and 3 on synthetic records whose answers are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from bnrepro import report
from bnrepro.analysis import dataset, figure2, figure2_plot, figure2_table, layers_plot, tuning
from bnrepro.analysis.figure2_claims import times
from bnrepro.analysis.figure2_verdicts import CLAIMS, UNTESTED, by_count, every, faster, judge, readings
from bnrepro.analysis.load import Record, by_variant, load_records
from bnrepro.analysis.statistics import bootstrap
from bnrepro.analysis.text import reached
from bnrepro.errors import UserError

T = 1000
GRID = range(100, T + 1, 50)
RATES = {"x5": 5.0, "x10": 10.0, "x30": 30.0, "x100": 100.0, "x300": 300.0}
LAYERS = list(layers_plot.LAYERS.values())


def line(step: float, top: float, curve: range = GRID) -> list[float]:
    """Accuracies that rise to ``top`` in a straight line until a step and stay there."""
    return [top * min(1.0, s / step) for s in curve]


def write_run(folder: Path, variant: str, seed: int, top1: list[float], steps: int = T, **changes) -> Record:
    """One record with these accuracies at every 50 steps from 100; ``changes`` go into its status."""
    path = folder / f"{variant}-s{seed}-g"
    path.mkdir(parents=True)
    status = {"state": "finished", "seed": seed, "variant": variant, "steps": steps, "group": f"{variant}-g"}
    status |= {"final": {"val/top1": top1[-1]}} if "diverged_at" not in changes else {"state": "diverged"}
    (path / "status.json").write_text(json.dumps(status | changes))
    rate = next((rate for name, rate in RATES.items() if name in variant.split("_")), 1.0)
    config = {
        "figure": "figure2",
        "optimizer": {"base_lr": 0.001, "lr_multiplier": rate},
        "init": {"name": "he", "std": 0.1},
        "model": {"aux": False},
        "data": {"name": "tiny_imagenet", "classes": 50, "images_per_class": 0, "pixels": 32, "split": "full"},
        "schedule": {"decay_multiplier": 1.0 if steps == T else 6.0},
        "training": {"batch_size": 32},
        "scale": {"name": "laptop"},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    rows = "".join(f"{step},{accuracy:.6f}\n" for step, accuracy in zip(GRID, top1, strict=False))
    (path / "metrics.csv").write_text("step,val/top1\n" + rows)
    values = np.arange(3 * 5 * len(LAYERS) * 3, dtype=np.float16).reshape(3, -1, 3)
    probes = {"percentiles": values, "percentiles_before": values} if "bn" in variant else {"percentiles": values}
    layers, units = np.repeat(np.arange(len(LAYERS)), 5), np.tile([-1, 0, 4, 8, 12], len(LAYERS))
    np.savez(path / "probes.npz", steps=[1, 100, T], layers=layers, units=units, layer_names=np.array(LAYERS), **probes)
    return Record(path, status | changes)


def arm(folder: Path, variant: str, curves: list[list[float]], **changes) -> list[Record]:
    return [write_run(folder, variant, seed, curve, **changes) for seed, curve in enumerate(curves)]


@pytest.fixture
def arms(tmp_path) -> figure2.Arms:
    """Inception reaches its 0.30 at 800, BN-Baseline at 400, BN-x5 at 100; they end 0, 2 and 4 points higher."""
    folder = tmp_path / "runs"
    shifts = (-0.001, 0.0, 0.001)
    arm(folder, "inception", [line(800, 0.30)] * 3)
    arm(folder, "bn_baseline", [line(400 * 0.32 / 0.3, 0.32 + d) for d in shifts])
    quarter = range(100, 251, 50)
    arm(folder, "bn_x5", [line(90, 0.34 + d, quarter) for d in shifts], steps=250)
    arm(folder, "bn_x30", [line(200 * 0.37 / 0.3, 0.37 + d, quarter) for d in shifts], steps=250)
    arm(folder, "bn_x5_sigmoid", [line(90, 0.20 + d, quarter) for d in shifts], steps=250)
    arm(folder, "inception_changes_x5", [line(250, 0.25 + d, quarter) for d in shifts], steps=250)
    arm(folder, "inception_x5", [[0.05, 0.04]], diverged_at=170)
    arm(folder, "inception_x10", [[]], diverged_at=3)
    arm(folder, "inception_sigmoid", [[0.02] * len(GRID)])
    found = load_records(folder)
    return by_variant(found, *(name for name in figure2.VARIANTS if name in {r.variant for r in found}))


def test_the_target_is_the_maximum_of_the_median_smoothed_mean(tmp_path):
    curves = [[0.10, 0.10, 0.50, 0.20, 0.22, 0.21, 0.90], [0.10, 0.10, 0.70, 0.30, 0.32, 0.31, 0.90]]
    assert figure2.target(arm(tmp_path, "inception", curves)) == pytest.approx(0.27)  # neither the spike nor the end
    assert figure2.target(arm(tmp_path / "one", "inception", [[0.1, 0.2, 0.3]])) == pytest.approx(0.2)


def test_steps_are_first_crossings_of_the_raw_curve_and_censored_if_never(tmp_path):
    records = arm(tmp_path, "bn_x5", [[0.1, 0.3, 0.2, 0.4], [0.1, 0.2, 0.29, 0.3], [0.1, 0.1, 0.1, 0.1]])
    assert figure2.steps(records, 0.3).tolist() == [150, 250, np.inf]
    assert figure2.maxima(records).tolist() == [0.4, 0.3, 0.1]
    assert figure2.steps_to_maximum(records).tolist() == [250, 250, 100]
    assert reached(figure2.steps(records, 0.3)) == "250 (2 of 3 seeds reach it)"
    assert figure2.at_step(records, 225).tolist() == [0.2, 0.29, 0.1]


def test_a_speed_up_is_paired_by_seed_and_says_what_it_lacks(tmp_path):
    slow = arm(tmp_path, "inception", [line(800, 0.3), line(400, 0.3), line(800, 0.29)])
    fast = arm(tmp_path, "bn_x5", [line(200, 0.3), line(100, 0.3), line(100, 0.3)])
    found = figure2.speed_up(slow, fast, 0.3)
    assert found.ratios.tolist() == [4.0, 4.0, 10.0] and found.bound and found.known
    assert times(found, bootstrap).startswith("≥ 5.43 [4.00, 10.00]")
    back = figure2.speed_up(fast, slow, 0.3)
    assert back.ratios.tolist() == [0.25, 0.25, 0.0] and not back.bound and not back.known
    assert times(back, bootstrap) == "2 of 3 seeds get there"
    neither = figure2.speed_up(fast, slow, 0.5)
    assert np.isnan(neither.ratios).all() and times(neither, bootstrap) == "never gets there"
    assert figure2.speed_up(slow, fast[1:2], 0.3).ratios.tolist() == [4.0]


def test_the_bootstrap_of_three_is_their_range():
    found = bootstrap(np.array([2.0, 4.0, 8.0]))
    assert (found.mean, found.low, found.high) == pytest.approx((4.0, 2.0, 8.0))
    assert found == bootstrap(np.array([2.0, 4.0, 8.0]))
    many = bootstrap(np.exp(np.linspace(-1, 1, 21)))
    assert 1 / 1.5 < many.low < 1 < many.high < 1.5
    assert np.isnan(bootstrap(np.array([2.0])).low)


def test_the_rule_for_chance(tmp_path):
    """Of 2,500 images at 1/50, three binomial standard deviations are 0.0084."""
    below, above = write_run(tmp_path, "a", 0, [0.02, 0.0283]), write_run(tmp_path, "b", 0, [0.02, 0.0285])
    assert dataset.chance(below) == 1 / 50 and dataset.held_out(below) == 2500
    assert (figure2.outcome(below), figure2.outcome(above)) == ("stays at chance", "learns")
    diverged = write_run(tmp_path, "c", 0, [0.1], diverged_at=120)
    assert figure2.outcome(diverged) == "diverged at step 120" and not figure2.at_chance(diverged)
    assert figure2.at_step([diverged], 110).tolist() == [0.1] and figure2.at_step([diverged], 250).tolist() == [0.02]
    assert figure2.finals([diverged]).tolist() == [0.02]


@pytest.mark.parametrize(
    ("name", "classes", "split", "expected"),
    [
        ("tiny_imagenet", 50, "full", (50, 2500)),
        ("tiny_imagenet", 0, "tune", (200, 10_000)),
        ("imagenet", 0, "full", (1000, 50_000)),
        ("mnist", 0, "tune", (10, 10_000)),
    ],
)
def test_classes_and_images_come_from_the_configuration(tmp_path, name, classes, split, expected):
    record = write_run(tmp_path, "a", 0, [0.1])
    record.config["data"] |= {"name": name, "classes": classes, "split": split}
    assert (dataset.classes(record), dataset.held_out(record)) == expected


def test_verdicts_of_the_paper(arms):
    """The synthetic networks behave as the paper's, but that BN-x5-Sigmoid is 14 points behind."""
    found = {claim: judge(claim, arms) for claim in CLAIMS}
    expected = dict.fromkeys(CLAIMS, "holds") | {"C37": "fails"}
    assert found == expected
    assert {claim: judge(claim, arms, "_equal") for claim in CLAIMS if len(readings(claim)) > 1} == dict.fromkeys(
        ("C34", "C35", "C37"), UNTESTED
    )


def curves_of(folder: Path, variant: str, ends: list[int], top: float, **changes) -> list[Record]:
    return arm(folder / variant, variant, [line(end, top) for end in ends], **changes)


def test_faster_in_every_outcome(tmp_path):
    slow = curves_of(tmp_path, "inception", [800, 800, 800], 0.3)
    half = curves_of(tmp_path, "bn_baseline", [400, 400, 400], 0.3)
    mixed = curves_of(tmp_path, "bn_x5", [200, 1000, 600], 0.3)
    never = curves_of(tmp_path, "bn_x30", [200, 200, 200], 0.2)
    assert faster(slow, half, 0.3) == "holds"
    assert faster(half, slow, 0.3) == "fails"
    assert faster(slow, half, 0.3, times=3) == "fails"
    assert faster(slow, mixed, 0.3) == "inconclusive"
    assert faster(slow, never, 0.3) == "fails"
    assert faster(never, never, 0.3) == "inconclusive"  # neither gets there: nothing is known
    assert faster(never, half, 0.3, times=3) == "inconclusive"  # 1000 / 400 is only a lower bound
    assert faster(slow[:1], half[:1], 0.3) == faster(slow[:1], never[:1], 0.3) == "inconclusive"  # one seed


def test_parts_and_counts():
    assert every("holds", "holds") == "holds" and every("holds", "inconclusive") == "inconclusive"
    assert every("inconclusive", "fails") == "fails"
    assert by_count([True]) == "holds" and by_count([False, False]) == "fails"
    assert by_count([True, False]) == "inconclusive"


@pytest.mark.parametrize(("low", "expected"), [(0.31, "holds"), (0.27, "fails"), (None, "inconclusive")])
def test_c37_measures_against_five_points(tmp_path, low, expected):
    relu = arm(tmp_path, "bn_x5", [line(200, top) for top in (0.33, 0.33, 0.33)])
    tops = (low, low + 0.001, low + 0.002) if low else (0.2, 0.3, 0.33)
    sigmoid = arm(tmp_path, "bn_x5_sigmoid", [line(200, top) for top in tops])
    assert judge("C37", {"bn_x5": relu, "bn_x5_sigmoid": sigmoid}) == expected


def test_c37_fails_for_a_network_at_chance_however_near(tmp_path):
    relu = arm(tmp_path, "bn_x5", [line(200, 0.021)] * 3)
    assert judge("C37", {"bn_x5": relu, "bn_x5_sigmoid": relu}) == "fails"


NEAR = (-0.001, 0.0, 0.001)  # seeds that agree
FAR = (-0.03, 0.0, 0.03)  # seeds that do not


@pytest.mark.parametrize(
    ("end", "top", "spread", "expected"),
    [
        (400, 0.34, NEAR, "holds"),
        (400, 0.34, FAR, "inconclusive"),  # sooner, but not surely higher
        (1000, 0.301, NEAR, "fails"),  # later
        (400, 0.25, NEAR, "fails"),  # never
    ],
)
def test_c33_needs_both_its_parts(tmp_path, end, top, spread, expected):
    plain = curves_of(tmp_path, "inception", [800, 800, 800], 0.30)
    bn = arm(tmp_path, "bn_baseline", [line(end, top + d) for d in spread])
    assert judge("C33", {"inception": plain, "bn_baseline": bn}) == expected


@pytest.mark.parametrize(
    ("end", "expected"), [(200, "holds"), (600, "fails"), (400, "inconclusive")], ids=["quarter", "most", "half"]
)
def test_c34_asks_for_half_the_steps(tmp_path, end, expected):
    plain, bn = (curves_of(tmp_path, name, [800, 800, 800], 0.30) for name in ("inception", "bn_baseline"))
    x5 = curves_of(tmp_path, "bn_x5", [end - 50, end, end + 50], 0.30)
    assert judge("C34", {"inception": plain, "bn_baseline": bn, "bn_x5": x5}) == expected


@pytest.mark.parametrize(
    ("end", "top", "spread", "expected"),
    [
        (400, 0.38, NEAR, "holds"),
        (100, 0.38, NEAR, "fails"),  # higher, but sooner too
        (400, 0.31, NEAR, "fails"),  # later, and lower
        (400, 0.35, FAR, "inconclusive"),
    ],
)
def test_c35_needs_both_its_parts(tmp_path, end, top, spread, expected):
    plain = curves_of(tmp_path, "inception", [800, 800, 800], 0.30)
    x5 = curves_of(tmp_path, "bn_x5", [200, 200, 200], 0.34)
    x30 = arm(tmp_path, "bn_x30", [line(end, top + d) for d in spread])
    assert judge("C35", {"inception": plain, "bn_x5": x5, "bn_x30": x30}) == expected


def test_c35_is_open_where_neither_gets_there(tmp_path):
    plain = curves_of(tmp_path, "inception", [800, 800, 800], 0.30)
    x5, x30 = (
        arm(tmp_path, name, [line(200, top + d) for d in NEAR]) for name, top in (("bn_x5", 0.2), ("bn_x30", 0.25))
    )
    assert judge("C35", {"inception": plain, "bn_x5": x5, "bn_x30": x30}) == "inconclusive"


def test_c36_and_c38_need_one_seed_only(tmp_path):
    survives = arm(tmp_path / "a", "inception_x5", [line(500, 0.2)])
    learns = arm(tmp_path / "b", "inception_sigmoid", [line(500, 0.2)])
    assert judge("C36", {"inception_x5": survives}) == judge("C38", {"inception_sigmoid": learns}) == "fails"
    assert judge("C38", {"inception_sigmoid": [*learns, *arm(tmp_path, "c", [[0.02] * 3])]}) == "inconclusive"


def test_the_table_says_what_is_there_and_what_is_not(arms):
    text = figure2_table.table(arms)
    (row,) = [line for line in text.splitlines() if line.startswith("| BN-x5 | 0.005 | 2.1M (14.8 times fewer) | 73.0")]
    assert "| 3 | 100 (100 to 100) | 8.00 [8.00, 8.00] | 34.00 ± 0.10 | 100 | +4.00 [+3.75, +4.25] |" in row
    assert "steps to 30.00%" in text and "Tiny-ImageNet, 50 classes, 32 px, scale laptop" in text
    assert "`bn_x5_equal`" in text and "`inception`," not in text
    assert "| Inception, rate x5 | 0.005 | seed 0 diverged at step 170 | 5.00 | 2.00 |" in text
    assert "the first rate at which none learns: 0.005" in text
    assert "## GoogLeNet" not in text and "T steps" not in text
    (pair,) = [line for line in text.splitlines() if line.startswith("| BN-x5 | 25.00")]
    assert "| +9.00 [+9.00, +9.00] | never | 100 (100 to 100) | ≥ 2.50 [2.50, 2.50] |" in pair


def test_rings_and_crosses_are_where_the_numbers_say(arms):
    figure = figure2_plot.draw(arms)
    lines = figure.axes[0].get_lines()
    rings = [line.get_xydata()[0].tolist() for line in lines if line.get_marker() == "o"]
    assert [step for step, _ in rings] == [800, 400, 100, 200]  # the two of the paper that never learn have none
    assert [line.get_xydata()[0, 0] for line in lines if line.get_marker() == "x"] == [170]


def test_layers_are_found_by_name(arms):
    probes = arms["bn_baseline"][0].probes
    assert layers_plot.rows_of(probes, "rows.4d.three") == (10, 13)
    assert probes["units"][13] == 8


def test_the_report_is_the_same_bytes_each_time_and_needs_the_first_two_networks(arms, tmp_path, monkeypatch):
    monkeypatch.setattr(layers_plot, "LAYERS", {"conv2": LAYERS[0]})  # four rows of panels take seconds
    stray = write_run(tmp_path / "runs", "bn_best", 0, [0.9])  # of Figure 1, which has an arm of this name too
    (stray.path / "config.yaml").write_text(yaml.safe_dump(stray.config | {"figure": "figure1"}))
    runs = tmp_path / "runs"
    paths = report.REPORTS["figure2"](runs, tmp_path / "out", runs)
    names = ["figure.png", "figure.svg", "activations.png", "activations.svg", "table.md"]
    assert [path.name for path in paths] == names
    for path in report.REPORTS["figure2"](runs, tmp_path / "again", runs):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    assert "`bn_best`" in (tmp_path / "out" / "table.md").read_text()  # among those that are missing
    for path in runs.glob("inception-s*/status.json"):
        path.unlink()
    with pytest.raises(UserError, match="experiment=figure2/inception"):
        report.REPORTS["figure2"](runs, tmp_path / "out", runs)


def test_reports_have_their_scales(tmp_path, capsys):
    assert report.recorded(tmp_path) == []
    assert report.main(["--results", str(tmp_path)]) == 0
    for variant in ("inception", "plain", "bn"):
        write_run(tmp_path / "figure2" / "laptop" / "runs", variant, 0, [0.1])
        write_run(tmp_path / "figure1" / "smoke" / "runs", variant, 0, [0.1])
    assert report.recorded(tmp_path) == []  # BN-Baseline is missing yet
    assert report.recorded(tmp_path, "smoke") == ["figure1"]
    write_run(tmp_path / "figure2" / "laptop" / "runs", "bn_baseline", 0, [0.1])
    assert report.recorded(tmp_path) == ["figure2"]
    next((tmp_path / "figure2").rglob("inception-s0-g/status.json")).unlink()
    assert report.main(["--results", str(tmp_path), "figure2"]) == 2
    assert "experiment=figure2/inception" in capsys.readouterr().err


def test_tuning_by_initialisation_and_auxiliary_head(tmp_path):
    records = []
    cells = [
        ("he", 0.1, False, 0.10),
        ("he", 1.0, False, 0.05),
        ("xavier", 0.1, False, 0.09),
        ("xavier", 1.0, False, None),
    ]
    for k, (init, rate, aux, top1) in enumerate([*cells, ("he", 0.1, True, 0.2)]):
        changes = {"diverged_at": 9} if top1 is None else {"final": {"tune/top1": top1}}
        record = write_run(tmp_path, f"cell{k}", 0, [0.1], **changes)
        record.status["variant"] = "tune_bn"
        record.config["optimizer"] = {"base_lr": rate, "lr_multiplier": 1.0}
        record.config["init"]["name"], record.config["model"]["aux"] = init, aux
        record.config["data"]["split"] = "tune"
        records.append(record)
    text = tuning.table(records[:4], "figure2")
    assert "on 2,500 training images" in text and "one seed a cell" in text
    assert "| rate | He | Xavier |" in text
    assert "| 0.1 | **10.00** | 9.00 ~ |" in text and "| 1 | 5.00 | diverged |" in text
    chosen = tuning.best(tuning.cells(records)).loc["bn"]
    assert (chosen["rate"], chosen["init"], chosen["aux"]) == (0.1, "he", False)
    assert "| 0.1, auxiliary head | 20.00 ~ |  |" in tuning.table(records, "figure2")


def test_in_tuning_a_lucky_seed_does_not_win_against_more_seeds(tmp_path):
    records = []
    for rate, seed, top1 in ((0.1, 0, 0.10), (0.1, 1, 0.12), (0.3, 0, 0.11), (0.3, 1, 0.13), (1.0, 0, 0.20)):
        record = write_run(tmp_path, f"cell{rate}", seed, [0.1], final={"tune/top1": top1})
        record.status["variant"] = "tune_bn"
        record.config["optimizer"] = {"base_lr": rate, "lr_multiplier": 1.0}
        record.config["data"]["split"] = "tune"
        records.append(record)
    assert tuning.best(tuning.cells(records)).loc["bn", "rate"] == 0.3
    text = tuning.table(records, "figure2")
    assert "over 2 seeds" in text and "have one seed" in text
    assert "**12.00 ± 1.41**" in text and "| 1 | 20.00" in text
