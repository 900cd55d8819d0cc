"""Figures 2 and 3 on synthetic records whose answers are known: their measures, table, pictures and report."""

import numpy as np
import pytest
import yaml

from bnrepro import report
from bnrepro.analysis import dataset, figure2, figure2_plot, figure2_table, layers_plot
from bnrepro.analysis.figure2_claims import times
from bnrepro.analysis.text import reached
from bnrepro.errors import UserError
from fake_records import NAMES, arm, line, paper_like, write_run


@pytest.fixture
def arms(tmp_path) -> figure2.Arms:
    return paper_like(tmp_path / "runs")


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
    assert times(found).startswith("≥ 5.43 [1.46, 20.20]")
    back = figure2.speed_up(fast, slow, 0.3)
    assert back.ratios.tolist() == [0.25, 0.25, 0.0] and not back.bound and not back.known
    assert times(back) == "2 of 3 seeds get there"
    neither = figure2.speed_up(fast, slow, 0.5)
    assert np.isnan(neither.ratios).all() and times(neither) == "never gets there"
    assert figure2.speed_up(slow, fast[1:2], 0.3).ratios.tolist() == [4.0]


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


def test_the_table_says_what_is_there_and_what_is_not(arms):
    text = figure2_table.table(arms)
    (row,) = [line for line in text.splitlines() if line.startswith("| BN-x5 | 0.005 | 2.1M (14.8 times fewer) | 73.0")]
    assert "| 3 | 100 (100 to 100) | 8.00 [8.00, 8.00] | 34.00 ± 0.10 | 100 | +4.00 [+3.75, +4.25] |" in row
    assert "steps to 30.00%" in text and "Tiny-ImageNet, 50 classes, 32 px, scale laptop" in text
    assert "`bn_x5_equal`" in text and "`inception`," not in text
    assert "| Inception, rate x5 | 0.005 | seed 0: diverged at step 170 | 5.00 | 2.00 |" in text
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
    monkeypatch.setattr(layers_plot, "LAYERS", {"conv2": NAMES[0]})  # four rows of panels take seconds
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
