"""The tuning sweeps: the cell that is chosen, what the tables say, and the ladder of rates."""

from pathlib import Path

import numpy as np
import pytest

from bnrepro.analysis.figures import ladder, tuning
from bnrepro.analysis.reading.load import Record
from bnrepro.cli import report
from fake_records import GRID, T, line, write_record

DATA = {"name": "tiny_imagenet", "classes": 50, "images_per_class": 0, "pixels": 32, "split": "tune"}


def cell(folder: Path, rate: float, top1: float | None, seed: int = 0, arm: str = "bn", **init) -> Record:
    """One run of Figure 2's sweep, whose accuracy rises for half of all steps; without an accuracy it diverged."""
    status = {"seed": seed, "variant": f"tune_{arm}", "steps": T, "group": str(rate)}
    status |= {"state": "diverged", "diverged_at": 100} if top1 is None else {"state": "finished"}
    status |= {"final": {"tune/top1": top1}} if top1 is not None else {}
    config = {
        "figure": "figure2_tuning",
        "optimizer": {"base_lr": rate, "lr_multiplier": 1.0},
        "init": {"name": "he", "std": 0.1} | init,
        "data": DATA,
        "scale": {"name": "laptop"},
    }
    name = "-".join(map(str, (rate, *init.values())))
    curve = zip(GRID, line(T / 2, top1 or 0.02), strict=True)
    record = write_record(folder / f"tune_{arm}-s{seed}-{name}", status, config, curve)
    metrics = record.path / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("val/top1", "tune/top1"))
    return record


def test_tuning_picks_the_best_mean(tmp_path):
    given = ((0.1, 0, 0.9), (0.1, 1, 0.5), (1.0, 0, 0.8), (1.0, 1, 0.8))
    records = [cell(tmp_path, rate, top1, seed, "plain") for rate, seed, top1 in given]
    assert tuning.best(tuning.runs_table(records)).loc["plain", "rate"] == 1.0
    assert "| 1 | **80.00 ± 0.00** |" in str(tuning.page(records, "figure2"))


def test_tuning_has_a_column_per_initialisation(tmp_path):
    given = (("he", 0.1, 0.10), ("he", 1.0, 0.05), ("xavier", 0.1, 0.09), ("xavier", 1.0, None))
    records = [cell(tmp_path, rate, top1, name=init) for init, rate, top1 in given]
    text = str(tuning.page(records, "figure2"))
    assert "one seed per cell. It is measured on 2,500 training images" in " ".join(text.split())
    assert "| rate | He | Xavier |" in text
    assert "| 0.1 | **10.00** | 9.00 |" in text and "| 1 | 5.00 | diverged |" in text


def test_in_tuning_a_lucky_seed_does_not_win_against_more_seeds(tmp_path):
    given = ((0.1, 0, 0.10), (0.1, 1, 0.12), (0.3, 0, 0.11), (0.3, 1, 0.13), (1.0, 0, 0.20))
    records = [cell(tmp_path, rate, top1, seed) for rate, seed, top1 in given]
    assert tuning.best(tuning.runs_table(records)).loc["bn", "rate"] == 0.3
    text = str(tuning.page(records, "figure2"))
    assert "2 seeds" in text and "has one seed" in " ".join(text.split())
    assert "**12.00 ± 1.41**" in text and "| 0.1 | 11.00 ± 1.41 ~ |" in text and "| 1 | 20.00 |" in text


@pytest.fixture
def sweep(tmp_path) -> Path:
    """The ladder of rates of Inception: without BN three seeds per rate, with BN and either beta one seed per rate."""
    runs = tmp_path / "runs"
    for rate, *accuracies in (
        (0.0075, 0.25, 0.25, 0.26),
        (0.015, 0.28, 0.28, 0.29),
        (0.03, 0.02, 0.30, 0.02),
        (0.06, 0.24, 0.02, 0.22),
        (0.12, 0.02, 0.02, None),
    ):
        for seed, top1 in enumerate(accuracies):
            cell(runs, rate, top1, seed, "plain")
    for rate, zero, one in (
        (0.0075, 0.27, 0.35),
        (0.03, 0.31, 0.40),
        (0.06, 0.34, 0.42),
        (0.12, 0.36, 0.41),
        (0.24, 0.35, 0.36),
        (0.48, 0.30, 0.20),
        (1.92, 0.04, None),
    ):
        cell(runs, rate, zero, beta=0.0)
        cell(runs, rate, one, beta=1.0)
    return runs


def test_the_ladder_of_inception_has_three_arms(sweep, tmp_path):
    out = tmp_path / "out"
    assert report.main(["figure2_tuning", "--records", str(sweep), "--out", str(out)]) == 0
    rows = [
        line for line in (out / "table.md").read_text().splitlines() if " to " in line and line.startswith("| With")
    ]
    assert rows == [
        "| With BN | 0.12 | 36.00 | 0.06 to 0.24 | 4 |",
        "| With BN, beta starts at 1 | 0.06 | 42.00 | 0.03 to 0.12 | 4 |",
        "| Without BN | 0.015 | 28.33 | 0.015 to 0.015 | 1 |",
    ]


def test_the_ladders_picture_shows_ranges_and_what_never_gets_there(sweep):
    rungs = ladder.of_results(sweep, "figure2_tuning", "laptop")[0]
    assert rungs.goal == pytest.approx(0.95 * 0.85 / 3)
    figure = ladder.draw(rungs)
    accuracy, steps = figure.axes
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["With BN", "With BN, beta starts at 1", "Without BN"]
    hollow = [curve for curve in steps.get_lines() if curve.get_markerfacecolor() == "none"]
    assert [curve.get_xdata().tolist() for curve in hollow] == [[1.92], [0.48, 1.92], [0.0075, 0.03, 0.06, 0.12]]
    bars = accuracy.collections[-1].get_segments()  # of the network without BN
    np.testing.assert_allclose(bars[2], [[0.03, 0.02], [0.03, 0.30]])
    assert max(accuracy.get_yticks()) <= 0.47
    assert "1 or 3 seeds per rate" in figure.get_suptitle()


def test_a_sweep_without_the_plain_network_is_one_line(tmp_path, capsys):
    cell(tmp_path / "runs", 0.1, 0.3)
    assert report.main(["figure2_tuning", "--records", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 2
    assert "no complete record of figure2_tuning without BN" in capsys.readouterr().err
