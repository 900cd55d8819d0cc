"""Statistics, drift and verdicts on numbers whose answer is known; and that analysis needs no torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bnrepro.analysis.figures import figure1, figure1_table
from bnrepro.analysis.reading.curves import accuracies
from bnrepro.analysis.reading.drift import layer_drift, typical_unit, unit_drift
from bnrepro.analysis.reading.load import Record, by_variant, load_records
from bnrepro.analysis.reading.statistics import Estimate, geometric
from bnrepro.errors import UserError
from fake_records import write_record

STEPS = [100, 1000, 5000, 10_000]


def write_run(
    folder: Path, variant: str, seed: int, accuracies: list[float], medians: list[list[float]], group: str = "g"
) -> None:
    """One record whose units have width 2 and these medians at `STEPS`."""
    status = {"state": "finished", "seed": seed, "variant": variant, "steps": STEPS[-1], "final": {}, "group": group}
    config = {"optimizer": {"base_lr": 0.1, "lr_multiplier": 1.0}, "init": {"std": 0.1}, "data": {"name": "mnist"}}
    curve = zip(STEPS, accuracies, strict=True)
    centre = np.array(medians, float).T[..., None]  # (T, U, 1)
    values = (centre + np.array([-1, 0, 1])).astype(np.float16)
    units = np.arange(len(medians))
    probes = dict.fromkeys(("percentiles", "percentiles_inference", "percentiles_before"), values)
    probes |= {"steps": STEPS, "layers": np.ones_like(units), "units": units}
    write_record(folder / f"{variant}-s{seed}-{group}", status, config, curve, **probes)


@pytest.fixture
def arms(tmp_path) -> dict[str, list[Record]]:
    """BN is better by 0.01, 0.02, 0.03 at the end and wanders a quarter as far."""
    for seed in range(3):
        plain, gain = [0.5, 0.8, 0.9, 0.94], 0.01 * (seed + 1)
        write_run(tmp_path, "plain", seed, plain, [[9, 0, 4, 0], [0, 0, 1, 2], [0, 0, 2, 8]])
        better = [a + gain for a in plain]
        write_run(tmp_path, "bn", seed, better, [[9, 0, 1, 0], [0, 0, 0.25, 0.5], [0, 0, 0.5, 2]])
    return by_variant(load_records(tmp_path), "plain", "bn")


def test_estimate_is_students_t():
    estimate = Estimate.of(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (estimate.mean, estimate.n) == (3.0, 5)
    assert estimate.sd == pytest.approx(2.5**0.5)
    assert estimate.high - 3 == pytest.approx(2.776445 * (2.5 / 5) ** 0.5)  # t(0.975, 4) from a printed table
    alone = Estimate.of(np.array([1.0]))
    assert alone.mean == 1.0 and np.isnan(alone.low)


def test_geometric_mean_of_ratios():
    estimate = geometric(np.array([0.5, 2.0]))
    assert estimate.mean == pytest.approx(1.0) and estimate.low < 0.5 and estimate.high > 2
    assert estimate.low * estimate.high == pytest.approx(1.0)


def test_drift_by_hand(arms):
    """Paths from step 1,000 on are 8, 2 and 8 for the plain network; the width is 2."""
    probes = arms["plain"][0].probes
    assert unit_drift(probes).tolist() == [4.0, 1.0, 4.0]
    assert layer_drift(probes, -1) == layer_drift(probes, 1) == 3.0
    assert typical_unit(probes) == 0  # of drifts 1, 4, 4 the median is 4: the first of that value
    flat = probes | {"percentiles": probes["percentiles"] * 0}
    assert np.isnan(unit_drift(flat)).all()


def test_figure1_quantities_by_hand(arms):
    plain, bn = arms["plain"], arms["bn"]
    gain = figure1.accuracy_gain(plain, bn, 10_000)
    assert gain.mean == pytest.approx(0.02) and gain.sd == pytest.approx(0.01)
    assert figure1.steps_to(plain, 0.9).tolist() == [5000.0] * 3
    assert figure1.steps_to(plain, 0.95).tolist() == [np.inf] * 3
    assert figure1.steps_to(bn, 0.95).tolist() == [10_000.0] * 3
    assert figure1.drift_ratio(plain, bn).mean == pytest.approx(0.25)
    assert figure1.not_above(plain, bn) == []
    assert figure1.not_above(bn, plain) == [1000, 5000, 10_000]


def test_table_and_figure_say_the_same(arms):
    text = str(figure1_table.page(arms))
    assert "| test accuracy at 10,000 steps, % | 94.00 ± 0.00 | 96.00 ± 1.00 | +2.00 [-0.48, +4.48] |" in text
    assert "| steps to 95% | never | 10,000 (10,000 to 10,000) |  |" in text
    assert "With BN the drift is 0.25" in text
    figure = figure1.draw(arms)
    (_, line) = figure.axes[0].get_lines()
    np.testing.assert_allclose(line.get_ydata(), 100 - 100 * accuracies(arms["bn"]).mean(axis=1))
    assert "unit 0" in figure.axes[1].get_title(loc="left")


def test_a_short_run_without_errors_is_drawn(arms, monkeypatch):
    monkeypatch.setattr(figure1, "FIRST_DRAWN", 10**6)
    for record in arms["bn"]:
        record.__dict__["metrics"] = record.metrics * 0 + 1
    figure = figure1.draw(arms)
    assert [line.get_ydata().tolist() for line in figure.axes[0].get_lines()] == [[pytest.approx(6)], [0.01]]
    figure.draw_without_rendering()


def test_a_seed_that_only_one_arm_has_is_left_out_of_the_pairs(arms):
    assert figure1.accuracy_gain(arms["plain"], arms["bn"][1:], 10_000).n == 2


def test_of_two_configurations_the_committed_one_is_taken(arms, tmp_path):
    """A stray run of another configuration in the runs directory does not get into the figure."""
    write_run(tmp_path, "bn", 0, [0.1] * 4, [[0] * 4], group="stray")
    with pytest.raises(UserError, match="several configurations of bn: g, stray"):
        by_variant(load_records(tmp_path), "bn")
    assert [r.group for r in by_variant(load_records(tmp_path), "bn", prefer=["g"])["bn"]] == ["g"] * 3


def test_a_diverged_run_is_at_chance_from_there_and_has_no_drift(arms):
    for record in arms["plain"]:
        record.status["state"] = "diverged"
        record.__dict__["metrics"] = record.metrics.loc[:1000]
    plain, bn = arms["plain"], arms["bn"]
    assert accuracies(plain).loc[10_000].tolist() == [0.1] * 3
    assert figure1.accuracy_gain(plain, bn, figure1.last_step(plain, bn)).mean == pytest.approx(0.86)
    assert figure1.drift_ratio(plain, bn).n == 0


def test_analysis_and_records_leave_torch_alone():
    code = (
        "import sys, bnrepro.cli.report, bnrepro.cli.status, bnrepro.tracking.mirror;"
        "assert not {'torch', 'wandb'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
