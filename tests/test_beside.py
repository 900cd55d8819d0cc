"""Variants of one's own in Figures 1 and 2: what they are set beside, the numbers, the pictures, and the door."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from bnrepro.analysis.figures import beside, figure1, figure2, figure2_plot
from bnrepro.analysis.reading.load import Record, by_variant, load_records
from bnrepro.cli import report
from fake_records import line, paper_like, write_record, write_run

QUARTER = range(100, 251, 50)


def mine(folder: Path, seeds: int = 3, steps: int = 250) -> list[Record]:
    """They reach 0.31 at step 200."""
    return [write_run(folder, "mine_x5", seed, line(200, 0.31, QUARTER), steps=steps) for seed in range(seeds)]


def digits(folder: Path, variant: str, top: float) -> None:
    """Records of two seeds of Figure 1 that end at this accuracy."""
    for seed in range(2):
        status = {"state": "finished", "seed": seed, "variant": variant, "steps": 2000, "group": f"{variant}-g"}
        status["final"] = {"val/top1": top}
        config = {"figure": "figure1", "data": {"name": "mnist"}, "scale": {"name": "paper"}}
        values = np.arange(2 * 3 * 3, dtype=np.float16).reshape(2, 3, 3)
        probes = {"percentiles": values, "layers": np.full(3, 3), "units": np.arange(3)}
        path = folder / f"{variant}-s{seed}-g"
        write_record(path, status, config, [(1000, top / 2), (2000, top)], steps=[1000, 2000], **probes)


@pytest.fixture
def places(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Committed results of both figures, and a runs directory with a variant for each."""
    results, runs = tmp_path / "results", tmp_path / "runs"
    paper_like(results / "figure2" / "laptop" / "runs")
    for variant, top in (("plain", 0.960), ("bn", 0.976)):
        digits(results / "figure1" / "paper" / "runs", variant, top)
    mine(runs)
    digits(runs, "mine", 0.970)
    monkeypatch.setattr(report, "RUNS", runs)
    return results, runs


def test_the_table_by_hand(tmp_path):
    """BN-x5 is at 0.30 at step 145 and ends as high; the variant is there at step 194, and ends at 0.31."""
    networks = {"BN-x5": paper_like(tmp_path / "runs")["bn_x5"]}
    table = beside.table("mine", mine(tmp_path / "own", seeds=2), networks, [0.30])
    own, other = table.rows
    assert own == ["mine", "2", "194 (194 to 194)", "31.00 ± 0.00", "", ""]
    assert (other[0], other[-2:]) == ("BN-x5", ["+0.15 [-0.49, +0.79]", "0.75 [0.74, 0.77]"])


def test_without_a_common_seed_nothing_is_compared(tmp_path):
    one, other = write_run(tmp_path, "one", 0, [0.1]), write_run(tmp_path, "other", 1, [0.1])
    table = beside.table("one", [one], {"other": [other]}, [0.3])
    assert table.rows[1][-2:] == ["no seed in common", "no seed in common"]


def names(axes: Axes) -> set[str]:
    """The names at the ends of the curves."""
    return {text.get_text() for text in axes.texts}


def test_a_curve_in_figure_1(tmp_path):
    for variant in ("plain", "bn", "mine"):
        digits(tmp_path, variant, 0.97)
    arms = by_variant(load_records(tmp_path), "plain", "bn", "mine")
    first, *_ = figure1.draw(arms, {"mine": arms["mine"]}).axes
    assert names(first) == {"with BN", "without BN", "mine"} and "n = 2 seeds each" in first.get_title(loc="left")


def test_the_axis_reaches_down_to_a_network_that_hardly_learns(tmp_path):
    digits(tmp_path, "plain", 0.4)
    digits(tmp_path, "bn", 0.97)
    arms = by_variant(load_records(tmp_path), "plain", "bn")
    low, high = figure1.draw(arms).axes[0].get_ylim()
    assert low < 3 and high > 80


def test_figure_2_has_it_with_equal_budget_only_if_it_trains_as_long(tmp_path):
    arms = paper_like(tmp_path / "runs")
    short, long = mine(tmp_path / "short"), mine(tmp_path / "long", steps=1000)
    for own, there in ((short, False), (long, True)):
        panels = figure2_plot.draw(arms, {"mine": own}).axes
        assert ["mine" in names(axes) for axes in panels] == [there, False, not there]
    rings = [line.get_xydata()[0].tolist() for line in panels[0].get_lines() if line.get_marker() == "o"]
    assert rings[-1] == pytest.approx([figure2.steps(long, 0.285)[0], figure2.target(arms["inception"])])


def test_the_report_leaves_what_is_committed_alone(places, capsys):
    results, runs = places
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    for what, name in (("figure1", "mine"), ("figure2", "mine_x5")):
        assert report.main(["--results", str(results), what, "--beside", name]) == 0
        made = [Path(path) for path in capsys.readouterr().out.split()]
        assert made == [runs / what / f"beside{kind}" for kind in (".png", ".svg", ".md")]
    assert before == {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    text = (runs / "figure1" / "beside.md").read_text()
    rows = {row.split(" | ")[0]: row for row in text.splitlines()}
    assert "| -0.60 [-0.60, -0.60] |" in rows["| with BN"] and "| +1.00 [+1.00, +1.00] |" in rows["| without BN"]


def test_at_a_scale_without_committed_records_all_comes_from_the_runs_directory(places, tmp_path):
    results, runs = places
    for variant in ("plain", "bn", "quick"):
        digits(runs, variant, 0.9)
        for path in runs.glob(f"{variant}-s*/config.yaml"):
            path.write_text(path.read_text().replace("name: paper", "name: smoke"))
    arguments = ["--results", str(results), "figure1", "--scale", "smoke", "--out", str(tmp_path / "out")]
    assert report.main([*arguments, "--beside", "quick"]) == 0
    assert "| with BN | 2 |" in (tmp_path / "out" / "beside.md").read_text()


def test_the_figures_own_networks_are_the_committed_ones_unless_records_are_named(places, monkeypatch, tmp_path):
    results, runs = places
    networks = []
    monkeypatch.setattr(report.beside, "report", lambda figure, names, source, of, *rest: networks.append(of) or [])
    for more in ([], ["--scale", "smoke"], ["--records", str(tmp_path)]):
        assert report.main(["--results", str(results), "figure1", "--beside", "mine", *more]) == 0
    assert networks == [results, runs, tmp_path]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["figure1", "--beside", "mien"],
            "no complete record of mien for figure1 at scale=paper in {}; did you mean mine",
        ),
        (["figure1", "--beside", "bn"], "bn is a network of figure1 itself; train yours under another name"),
        (
            ["figure2", "--scale", "tiny64", "--beside", "mine"],
            "no complete record of mine for figure2 at scale=tiny64",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(places, capsys, arguments, said):
    results, runs = places
    assert report.main(["--results", str(results), *arguments]) == 2
    assert said.format(runs) in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--beside", "mine"], ["figure4", "--beside", "mine"]])
def test_a_figure_must_be_named(arguments, capsys):
    with pytest.raises(SystemExit):
        report.main(arguments)
    assert "comes after one of: figure1, figure2" in capsys.readouterr().err
