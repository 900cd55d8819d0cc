"""The claims' drawings on synthetic records whose curves are known: what is drawn is what was measured."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bnrepro.analysis.claims import drawings, series
from bnrepro.analysis.claims.drawings import accuracy, painting
from bnrepro.analysis.claims.series import FINAL, FIRST, Arm
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render import style
from fake_records import write_record

LAYERS, STEPS, TOP = 3, [1, 10, 100, 1000, 5000], 0.9
UNITS = np.repeat(np.arange(1, LAYERS + 1), 2)
QUANTITIES = [
    *("gradients/input_rms", "amplification/relative", "saturation/share", "weights/norm", "linearity/r2"),
    *("shift/relative", "gaussianity/u_negentropy", "gaussianity/affine_negentropy", "batch_noise/share"),
    *("jacobian/p10", "jacobian/p50", "jacobian/p90"),
]
EXACT = {
    "C06": {f"bias_at_{step}": step / 10 for step in (250, 500, 750, 1000)},
    "C07": {f"scale_at_{step}": step**0.5 for step in (250, 500, 750, 1000)},
}


def value(seed: int, look: int, layer: int) -> float:
    """What every instrument of these records saw."""
    return (1 + seed / 10) * 2.0**-layer * (1 + look)


def write(folder: Path, seed: int, name: str = "run", top: float = TOP, **config) -> Record:
    """A run that climbs to ``top`` plus a hundredth of its seed; ``config`` are its sections."""
    status = {"state": "finished", "seed": seed, "variant": name, "steps": STEPS[-1], "group": name}
    status["final"] = {"val/top1": top + seed / 100} | dict.fromkeys(accuracy.STATISTICS.values(), top / 2)
    seen = np.array([[value(seed, look, layer) for layer in range(1, LAYERS + 1)] for look in range(len(STEPS))])
    probes = dict.fromkeys(QUANTITIES, seen) | {"steps": STEPS, "sites": ["a", "b", "c"], "layers": UNITS}
    rising = np.arange(len(STEPS))[:, None, None]
    probes["percentiles"] = np.broadcast_to(rising + np.array([-1.0, 0.0, 1.0]), (len(STEPS), len(UNITS), 3))
    config = {"data": {"name": "mnist"}, "model": {"hidden": [100] * LAYERS}} | config
    curve = [(step, top * k / len(STEPS) + seed / 100) for k, step in enumerate(STEPS, 1)]
    record = write_record(folder / f"{name}-s{seed}-g", status, config, curve, **probes)
    rows = [f"{step},{accuracy},{1 - accuracy}\n" for step, accuracy in curve]
    (record.path / "metrics.csv").write_text("step,val/top1,train/loss\n" + "".join(rows))
    return record


@pytest.fixture
def arm(tmp_path) -> Arm:
    return Arm("an arm", [write(tmp_path, seed) for seed in (0, 1, 2)], style.WITH)


NOTHING = Arm("nothing", [], style.WITHOUT)


def texts(axes) -> str:
    return " ".join(text.get_text() for text in [*axes.texts, *(axes.get_legend().texts if axes.get_legend() else ())])


def test_frames_have_a_column_a_seed(arm, tmp_path):
    layers = series.by_layer(arm.records, "weights/norm", FIRST)
    assert layers.index.tolist() == [1, 2, 3] and layers[2].tolist() == pytest.approx(
        [value(2, 0, k) for k in (1, 2, 3)]
    )
    for layer, which in ((2, 2), (-1, LAYERS)):
        found = series.by_step(arm.records, "weights/norm", layer)
        assert found.index.tolist() == STEPS
        assert found[1].tolist() == pytest.approx([value(1, k, which) for k in range(len(STEPS))])
    assert series.layers(arm.records, "weights/norm") == LAYERS and series.layers([], "weights/norm") == 0
    assert series.by_layer(arm.records, "moments/x").empty and series.accuracy([]).empty
    rungs = [write(tmp_path / str(std), 0, top=std, init={"std": std}) for std in (0.3, 0.1)]
    found = series.ladder(rungs, "init.std", FINAL)
    assert found.index.tolist() == [0.1, 0.3] and found[0].tolist() == [0.1, 0.3]
    assert series.ladder(arm.records, "model.hidden", FINAL).index.tolist() == [LAYERS]


def test_a_diverged_run_has_an_accuracy_and_no_layers(arm, tmp_path):
    (tmp_path / "bad").mkdir()
    status = {"state": "diverged", "seed": 7, "variant": "bad", "steps": STEPS[-1], "group": "bad", "diverged_at": 3}
    (tmp_path / "bad" / "config.yaml").write_text("data: {name: mnist}")
    records = [*arm.records, Record(tmp_path / "bad", status)]
    assert list(series.by_layer(records, "weights/norm")) == [0, 1, 2]
    assert series.accuracy(records)[7].iloc[-1] == 0.1


def test_differences_are_of_the_seeds_that_both_have(arm, tmp_path):
    other = [write(tmp_path, seed, "other", TOP - 0.1) for seed in (1, 2, 3)]
    values, estimate = series.differences(arm.records, other, FINAL)
    assert values == pytest.approx([0.1, 0.1]) and estimate.n == 2
    values, estimate = series.differences(arm.records, [], FINAL)
    assert not len(values) and estimate.n == 0


def test_depth_draws_gradients_over_the_last_layers_and_movement_as_it_is(arm):
    first, _, movement = drawings.depth({"net": [arm, NOTHING]}).axes
    line = first.lines[0]
    assert line.get_xdata().tolist() == [1, 2, 3] and line.get_ydata() == pytest.approx([4, 2, 1])
    assert movement.lines[0].get_ydata() == pytest.approx([1.1 * value(0, len(STEPS) - 1, k) for k in (1, 2, 3)])
    assert "nothing (not measured yet)" in texts(first)


def test_weight_growth_draws_norms_over_the_first_and_the_effective_rate(arm):
    grown, plain, rate = drawings.weight_growth(arm, NOTHING).axes
    assert grown.lines[0].get_ydata() == pytest.approx([1, 2, 3, 4, 5])
    assert rate.lines[0].get_ydata() == pytest.approx([1, 1 / 4, 1 / 9, 1 / 16, 1 / 25])
    assert [line.get_linestyle() for line in rate.lines] == [":", "--", "-"]
    assert painting.ABSENT in texts(plain)


def test_ladders_draw_rungs_and_half_of_the_best(tmp_path):
    rungs = [write(tmp_path / f"{rate}", 0, top=top, optimizer={"base_lr": rate}) for rate, top in ((1, 0.4), (3, 0.8))]
    climb = ([Arm("an arm", rungs, style.WITH), NOTHING], "optimizer.base_lr", "rate", "val/top1")
    (axes,) = drawings.ladders({"a network": climb}).axes
    assert axes.lines[0].get_xdata().tolist() == [1, 3] and axes.lines[0].get_ydata().tolist() == [0.4, 0.8]
    assert axes.lines[-1].get_ydata()[0] == 0.4
    climb = ([Arm("an arm", rungs[:1], style.WITH)], *climb[1:])
    assert "other rungs not measured yet" in texts(drawings.ladders({"a network": climb}).axes[0])


def test_company_draws_noise_by_size_and_accuracy_by_statistics(tmp_path):
    runs = [write(tmp_path / str(m), 0, training={"batch_size": m}) for m in (2, 64)]
    sizes = Arm("an arm", runs, style.WITH)
    top1, noise, swap = drawings.company([sizes, NOTHING], sizes._replace(records=runs[:1])).axes
    assert top1.lines[0].get_xdata().tolist() == [2, 64] and top1.lines[0].get_ydata().tolist() == [TOP, TOP]
    assert noise.lines[0].get_ydata() == pytest.approx([value(0, len(STEPS) - 1, 1)] * 2)
    assert swap.lines[0].get_ydata() == pytest.approx([TOP / 2] * 4)


def test_changes_are_coloured_if_their_interval_leaves_out_zero():
    def effect(*points: float) -> painting.Effect:
        values = np.array(points) / 100
        return values, Estimate.of(values)

    rows = {"helps": effect(2, 2.1, 2.2), "harms": effect(-2, -2.1, -2.2), "?": effect(-1, 0, 2), "none": effect()}
    (axes,) = drawings.changes(rows).axes
    seeds = [line for line in axes.lines if line.get_marker() == "o"]
    assert [to_hex(line.get_color()) for line in seeds] == [style.WITH, style.WITHOUT, style.POOLED]
    assert seeds[0].get_xdata() == pytest.approx([2, 2.1, 2.2]) and painting.ABSENT in texts(axes)


def test_noise_draws_accuracy_and_loss(arm):
    accuracy, *_, loss = drawings.noise({key: [arm] for key in "abc"}).axes
    climbed = np.array([TOP * k / len(STEPS) for k in range(1, len(STEPS) + 1)])
    assert accuracy.lines[0].get_ydata() == pytest.approx(climbed + 0.01)
    assert loss.lines[0].get_ydata() == pytest.approx(1 - climbed - 0.01)


def of_every_claim(one: Arm) -> dict[str, Figure]:
    """Every drawing of records, of this arm alone."""
    effect = series.differences(one.records, one.records, FINAL)
    return {
        "saturation": drawings.saturation([one], [one]),
        "without_gradient": drawings.without_gradient(EXACT, [one], [one]),
        "linear_regime": drawings.linear_regime(one, one),
        "company": drawings.company([one], one),
        "before_after": drawings.before_after(dict.fromkeys("abc", one), {"d": effect}),
        "depth": drawings.depth({"net": [one]}),
        "weight_growth": drawings.weight_growth(one, one),
        "noise": drawings.noise({key: [one] for key in "abc"}),
        "changes": drawings.changes({"d": effect}),
    }


@pytest.mark.parametrize("measured", [True, False])
def test_what_is_not_measured_is_said_and_nothing_else(arm, measured):
    for name, figure in of_every_claim(arm if measured else NOTHING).items():
        figure.draw_without_rendering()
        assert any(painting.ABSENT in texts(axes) for axes in figure.axes) != measured, name
