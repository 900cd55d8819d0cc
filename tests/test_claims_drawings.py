"""The drawings of the notebook of claims on records whose curves are known: what is drawn is what was measured."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from bnrepro.analysis.claims import notebook as drawings
from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.series import FINAL, FIRST, Arm
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render import style
from fake_records import write_record

LAYERS, STEPS, TOP = 3, [1, 10, 100, 1000, 5000], 0.9
NOTHING = Arm("nothing", [], style.WITHOUT)


def value(seed: int, look: int, layer: int) -> float:
    """The norm of a layer's weights in these records."""
    return (1 + seed / 10) * 2.0**-layer * (1 + look)


def write(folder: Path, seed: int, name: str = "run", top: float = TOP, **config) -> Record:
    """A run that ends at ``top`` plus a hundredth of its seed; ``config`` are its sections."""
    status = {"state": "finished", "seed": seed, "variant": name, "steps": STEPS[-1], "group": name}
    status["final"] = {"val/top1": top + seed / 100}
    norms = [[value(seed, look, layer) for layer in range(1, LAYERS + 1)] for look in range(len(STEPS))]
    config = {"data": {"name": "mnist"}, "model": {"hidden": [100] * LAYERS}} | config
    curve = [(step, top) for step in STEPS]
    return write_record(folder / f"{name}-s{seed}-g", status, config, curve, **{"weights/norm": norms, "steps": STEPS})


@pytest.fixture
def arm(tmp_path) -> Arm:
    return Arm("an arm", [write(tmp_path, seed) for seed in (0, 1, 2)], style.WITH)


def test_frames_have_a_column_per_seed(arm, tmp_path):
    layers = series.by_layer(arm.records, "weights/norm", FIRST)
    assert layers.index.tolist() == [1, 2, 3]
    assert layers[2].tolist() == pytest.approx([value(2, 0, layer) for layer in (1, 2, 3)])
    second = series.by_step(arm.records, "weights/norm", 2)
    assert second.index.tolist() == STEPS and second[1].tolist() == pytest.approx([value(1, k, 2) for k in range(5)])
    assert series.layers(arm.records, "weights/norm") == LAYERS and series.layers([], "weights/norm") == 0
    assert series.by_layer(arm.records, "moments/x").empty
    rungs = [write(tmp_path / str(std), 0, top=std, init={"std": std}) for std in (0.3, 0.1)]
    by_std = series.by_value(rungs, "init.std", FINAL)
    assert by_std.index.tolist() == [0.1, 0.3] and by_std[0].tolist() == [0.1, 0.3]
    assert series.by_value(arm.records, "model.hidden", FINAL).index.tolist() == [LAYERS]


def test_a_diverged_run_has_no_layers(arm, tmp_path):
    (tmp_path / "bad").mkdir()
    bad = Record(tmp_path / "bad", {"state": "diverged", "seed": 7})
    assert list(series.by_layer([*arm.records, bad], "weights/norm")) == [0, 1, 2]


def test_differences_are_of_the_seeds_that_both_have(arm, tmp_path):
    other = [write(tmp_path, seed, "other", TOP - 0.1) for seed in (1, 2, 3)]
    values, estimate = series.differences(arm.records, other, FINAL)
    assert values == pytest.approx([0.1, 0.1]) and estimate.n == 2
    values, estimate = series.differences(arm.records, [], FINAL)
    assert not len(values) and estimate.n == 0


def test_a_line_is_the_mean_of_a_layer_and_what_has_no_records_is_named(arm):
    figure, ((left, right),) = drawings.panels(1, 2)
    growth = drawings.layer_lines(arm, "weights/norm", lambda norms: norms / norms.iloc[0])
    drawings.panel(left, "growth", [*growth, (NOTHING, series.by_layer([], "weights/norm"))], "steps", log_y=True)
    drawings.panel(right, "growth", drawings.layer_lines(NOTHING, "weights/norm"), "steps", log_y=True)
    figure.draw_without_rendering()
    assert left.lines[0].get_xdata().tolist() == STEPS and left.lines[0].get_ydata() == pytest.approx([1, 2, 3, 4, 5])
    assert [line.get_linestyle() for line in left.lines[:3]] == [":", "--", "-"] and left.get_yscale() == "log"
    names = [text.get_text() for text in left.get_legend().texts]
    assert names == ["layer 1", "layer 2", "layer 3", "nothing (not measured yet)"] and not left.texts
    assert not right.lines and [text.get_text() for text in right.texts] == [drawings.ABSENT]


def test_effects_are_coloured_if_their_interval_leaves_out_zero():
    def effect(*points: float) -> drawings.Effect:
        values = np.array(points) / 100
        return values, Estimate.of(values)

    rows = {"helps": effect(2, 2.1, 2.2), "harms": effect(-2, -2.1, -2.2), "?": effect(-1, 0, 2), "none": effect()}
    _, ((axes,),) = drawings.panels(1, 1)
    drawings.effects(axes, rows)
    seeds = [line for line in axes.lines if line.get_marker() == "o"]
    assert [to_hex(line.get_color()) for line in seeds[:3]] == [style.WITH, style.WITHOUT, style.POOLED]
    assert seeds[0].get_xdata() == pytest.approx([2, 2.1, 2.2])
    assert axes.get_yticklabels()[-1].get_text() == "none (not measured yet)"
