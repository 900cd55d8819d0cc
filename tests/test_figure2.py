"""Figures 2 and 3 on synthetic records whose answers are known: their measures, table, pictures and report."""

import numpy as np
import pytest
import yaml

from bnrepro.analysis.figures import figure2, figure2_plot, figure2_table, layers_plot
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.curves import finals
from bnrepro.analysis.reading.load import Arms
from bnrepro.analysis.render.text import reached
from bnrepro.cli import report
from bnrepro.errors import UserError
from fake_records import NAMES, arm, line, paper_like, write_run


@pytest.fixture
def arms(tmp_path) -> Arms:
    return paper_like(tmp_path / "runs")


def test_the_target_is_a_share_of_the_mean_final_accuracy(tmp_path):
    curves = [[0.10, 0.50, 0.20], [0.10, 0.70, 0.30]]
    assert figure2.target(arm(tmp_path, "inception", curves)) == pytest.approx(0.95 * 0.25)  # whatever the spikes


def test_steps_are_interpolated_crossings_of_the_smoothed_curve(tmp_path):
    curves = [
        [0.1, 0.2, 0.3, 0.4],  # 0.25 half way between 150 and 200
        [0.1, 0.9, 0.1, 0.1, 0.5, 0.5, 0.5],  # the spike is smoothed away; 0.25 at three eighths of 250 to 300
        [0.3, 0.1, 0.1],  # the first evaluation is kept as it is
        [0.1, 0.1, 0.1],
    ]
    records = arm(tmp_path, "bn_x5", curves)
    assert figure2.steps(records, 0.25) == pytest.approx([175, 268.75, 100, np.inf])
    assert reached(figure2.steps(records, 0.25)) == "222 (3 of 4 seeds reach it)"
    diverged = write_run(tmp_path / "d", "bn_x5", 0, [0.1, 0.2, 0.3], diverged_at=140)
    assert np.isinf(figure2.steps([diverged], 0.15)).all()


def test_a_speed_up_is_paired_by_seed_and_a_bound_where_a_seed_never_gets_there(tmp_path):
    slow = arm(tmp_path, "inception", [line(800, 0.32), line(400, 0.32), line(800, 0.29)])
    fast = arm(tmp_path, "bn_x5", [line(200, 0.32), line(200, 0.32), line(200, 0.32)])
    ratios, sign = figure2.speed_up(slow, fast, 0.3)
    assert ratios == pytest.approx([4.0, 2.0, 1000 / 187.5]) and sign == "≥"
    back, sign = figure2.speed_up(fast, slow, 0.3)
    assert back == pytest.approx(1 / ratios) and sign == "≤"
    assert figure2.speed_up(slow, fast[1:2], 0.3)[0] == pytest.approx([2.0])
    assert figure2_table.times(fast, slow, 0.5) == "neither gets there"
    assert figure2_table.times(slow, fast, 0.3).startswith("≥ 3.49 [")


def test_a_short_run_that_never_gets_there_counts_with_its_own_steps(tmp_path):
    slow = [write_run(tmp_path, "inception", seed, line(800, 0.32)) for seed in (0, 1)]
    fast = [write_run(tmp_path, "bn_x5", seed, [0.1, 0.1, 0.1], steps=250) for seed in (0, 1)]
    ratios, sign = figure2.speed_up(slow, fast, 0.3)
    assert ratios == pytest.approx([750 / 250] * 2) and sign == "≤"


def test_the_rule_for_chance(tmp_path):
    """Of 2,500 images at 1/50, three binomial standard deviations are 0.0084."""
    below, above = write_run(tmp_path, "a", 0, [0.02, 0.0283]), write_run(tmp_path, "b", 0, [0.02, 0.0285])
    assert dataset.chance(below) == 1 / 50 and dataset.held_out(below) == 2500
    assert (figure2.outcome(below), figure2.outcome(above)) == ("stays at chance", "learns")
    diverged = write_run(tmp_path, "c", 0, [0.1], diverged_at=120)
    assert figure2.outcome(diverged) == "diverged at step 120" and not figure2.at_chance(diverged)
    stopped = write_run(tmp_path, "d", 0, [0.02], stopped="at chance", step=100)
    assert figure2.outcome(stopped) == "stays at chance, ended at step 100"
    assert finals([diverged]).tolist() == [0.02]


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
    text = str(figure2_table.page(arms))
    (row, short) = [
        line for line in text.splitlines() if line.startswith("| BN-x5 | 0.005 | 2.1M (14.8 times fewer) | 73.0")
    ]
    assert row.endswith("| 34.00 ± 0.16 | +4.00 [+4.00, +4.00] |") and "| 5 | 126 (125 to 126) | 6.04 [" in row
    assert "| 5 | 138 (" in short
    assert "steps to 28.50%" in text and "Tiny-ImageNet, 50 classes, 32 px, scale laptop" in text
    assert "No runs for this table yet: `inception_changes_x30_equal`, `inception_x5_whole`" in text
    assert "fewer seeds than the rules ask for" not in text and "## GoogLeNet" not in text
    assert "| Inception, rate x5 | 0.005 | seeds 0, 1, 2: diverged at step 170; seeds 3, 4: stays at chance" in text
    (five,) = [line for line in text.splitlines() if line.startswith("| the five other changes")]
    assert "all changes but BN, rate x1 | 1.38 [" in five


def test_the_table_names_the_seeds_that_are_still_missing(arms):
    text = str(figure2_table.page(arms | {"bn_baseline": arms["bn_baseline"][:1]}))
    assert "These networks have fewer seeds than the rules ask for: BN-Baseline 1 of 5." in " ".join(text.split())


def test_rings_and_crosses_are_where_the_numbers_say(arms):
    figure = figure2_plot.draw(arms)
    rings = [
        [line.get_xydata()[0].tolist() for line in axes.get_lines() if line.get_marker() == "o"] for axes in figure.axes
    ]
    assert [len(of_panel) for of_panel in rings] == [6, 4, 4]  # a control of two gets there, and no sigmoid in T/4
    assert rings[0][0] == pytest.approx([760, 0.285])
    assert "not trainable: Inception, rate x5" in figure.axes[0].texts[-1].get_text()
    partly = [*arms["inception_x5"][:1], *arms["inception"][1:]]
    panel = figure2_plot.draw(arms | {"inception_x5": partly}).axes[0]
    crosses = [line.get_xydata()[0, 0] for line in panel.get_lines() if line.get_marker() == "x"]
    assert crosses == [150]  # the last evaluation before the first seed diverges


def test_it_counts_the_seeds_of_the_networks_that_it_draws(arms):
    few = arms["inception"][:3]
    assert "n = 5 seeds each. Rings" in " ".join(figure2_plot.draw(arms | {"googlenet": few}).get_suptitle().split())
    assert "BN-Baseline: 3" in figure2_plot.draw(arms | {"bn_baseline": few}).get_suptitle()


def test_networks_of_which_none_learns_are_named(tmp_path):
    arms = {name: arm(tmp_path, name, [[0.02] * 3, [0.02] * 3]) for name in figure2.REQUIRED}
    figure = figure2_plot.draw(arms)
    assert [text.get_text() for text in figure.axes[0].texts] == ["not trainable: Inception; BN-Baseline"]


def test_layers_are_found_by_name(arms):
    probes = arms["bn_baseline"][0].probes
    assert layers_plot.rows_of(probes, "rows.4d.three") == (10, 13)
    assert probes["units"][13] == 8


def test_the_report_is_the_same_bytes_each_time_and_needs_the_first_two_networks(arms, tmp_path, monkeypatch):
    monkeypatch.setattr(layers_plot, "LAYERS", {"conv2": NAMES[0]})  # four rows of panels take seconds
    stray = write_run(tmp_path / "runs", "bn_x5", 9, [0.9], group="other")  # of Figure 1
    (stray.path / "config.yaml").write_text(yaml.safe_dump(stray.config | {"figure": "figure1"}))
    runs = tmp_path / "runs"
    paths = report.rebuild("figure2", tmp_path, tmp_path / "out", runs)
    names = ["figure.png", "figure.svg", "activations.png", "activations.svg", "table.md"]
    assert [path.name for path in paths] == names
    for path in report.rebuild("figure2", tmp_path, tmp_path / "again", runs):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    assert (tmp_path / "out" / "table.md").read_text() == str(figure2_table.page(arms))  # without the stray
    for path in runs.glob("inception-s*/status.json"):
        path.unlink()
    with pytest.raises(UserError, match="experiment=figure2/inception"):
        report.rebuild("figure2", tmp_path, tmp_path / "out", runs)


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
