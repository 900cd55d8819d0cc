"""What is committed under results/ and notebooks/ follows from the committed records."""

import json
import re
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pytest

from bnrepro.analysis.reading.load import by_variant, load_records
from bnrepro.cli import notebooks, report
from conftest import CONFIGS, ROOT, compose_config

RESULTS = ROOT / "results"
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.parametrize("name", report.recorded(RESULTS))
def test_figures_and_tables_are_rebuilt_byte_for_byte(name, tmp_path):
    home = report.home(name, RESULTS)
    out = tmp_path / "a folder" / "that is not there"
    written = report.rebuild(name, RESULTS, out)
    assert written
    for path in written:
        committed = home / path.relative_to(out)
        assert path.read_bytes() == committed.read_bytes(), f"{path.name}: run python scripts/report.py"


def test_figure_1_is_the_papers_protocol():
    arms = by_variant(load_records(RESULTS / "figure1" / "paper" / "runs"), "plain", "bn")
    for runs in arms.values():
        assert [run.seed for run in runs] == [0, 1, 2, 3, 4]
        assert all((run.status["steps"], run.status["step"]) == (50_000, 50_000) for run in runs)
        assert {run.config["training"]["batch_size"] for run in runs} == {60}


def test_the_chosen_rates_are_the_tuning_sweeps_best():
    from bnrepro.analysis.figures import tuning
    from bnrepro.training.validation import typed

    chosen = tuning.best(tuning.runs_table(load_records(RESULTS / "figure1_tuning" / "paper" / "runs")))
    for experiment, arm in (("plain", "plain"), ("bn", "plain"), ("plain_at_bn_best", "bn"), ("bn_best", "bn")):
        config = typed(compose_config(f"experiment=figure1/{experiment}"))
        assert config.optimizer.lr == pytest.approx(chosen.loc[arm, "rate"])
        assert config.init.std == pytest.approx(chosen.loc[arm, "std"])
    assert (CONFIGS / "experiment" / "figure1" / "plain_best.yaml").exists()
    runs = tuning.runs_table(load_records(RESULTS / "figure2_tuning" / "laptop" / "runs"))
    config = typed(compose_config("experiment=figure2/inception", "scale=laptop"))
    assert (config.optimizer.lr, config.optimizer.l2) == tuple(tuning.best(runs).loc["plain", ["rate", "l2"]])


def test_records_are_small_and_complete_and_name_no_folder_of_a_machine():
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    commands = [json.loads(path.read_text())["command"] for path in RESULTS.glob("**/runs/*/status.json")]
    commands += [
        word for path in RESULTS.glob("*/*/evaluation.json") for word in json.loads(path.read_text())["trained"]
    ]
    assert len(commands) > 100 and not [command for command in commands if "=/" in command or "root=" in command]
    assert sum(path.stat().st_size for path in files) < 50e6
    assert max(path.stat().st_size for path in files) < 2e6
    assert max(path.stat().st_size for path in RESULTS.glob("**/runs/*/probes.npz")) < 150e3
    for path in RESULTS.glob("figure1/paper/runs/*/probes.npz"):
        with np.load(path) as arrays:
            steps, units = len(arrays["steps"]), len(arrays["units"])
            assert arrays["percentiles"].shape == (steps, units, 3) == (steps, 300, 3)
            assert arrays["percentiles"].dtype == np.float16


def test_a_run_that_claims_share_has_one_record():
    """Two experiments may need the same configuration; the second has a link to the record of the first."""
    records = [path for path in RESULTS.glob("claims/*/*/runs/*") if not path.is_symlink()]
    runs = Counter(path.name.partition("-")[2] for path in records)  # seed and hash of the configuration
    assert len(records) > 900 and runs.most_common(1)[0][1] == 1
    links = [path for path in RESULTS.glob("claims/*/*/runs/*") if path.is_symlink()]
    assert links and all(path.resolve() in records for path in links)


def test_the_readme_quotes_the_tables():
    readme = (ROOT / "README.md").read_text()
    table = (report.home("figure1", RESULTS) / "table.md").read_text().splitlines()
    quoted = [line for line in readme.splitlines() if line.startswith(("| test accuracy", "| steps to"))]
    assert set(quoted) <= set(table) and len(quoted) == 3
    visible = re.sub(r"<details>.*?</details>", "", readme, flags=re.DOTALL)
    assert len(visible.splitlines()) <= 135
    assert next(k for k, line in enumerate(readme.splitlines()) if line.startswith("    make reproduce")) < 40


def test_what_the_readme_says_was_found_has_the_ledgers_verdict():
    verdicts = {row["id"]: row["verdict"] for row in json.loads((RESULTS / "claims.json").read_text())}
    rows = re.findall(
        r"^\| \[([CS]\d+)\]\(results/claims.md.*\| (\w+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert len(rows) == 7 and all(verdicts[claim] == verdict for claim, verdict in rows)


def test_benchmarks_say_against_what_and_on_what():
    paths = list((RESULTS / "benchmarks").glob("*.json"))
    assert "mnist.json" in [path.name for path in paths]
    for path in paths:
        record = json.loads(path.read_text())
        assert record["commit"] and record["processor"] and record["command"].startswith("python scripts/benchmark.py")
        assert all({"what", "ratio", "target", "met"} <= row.keys() for row in record["rows"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebooks_agree_with_their_pair_and_execute_to_what_is_committed(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BNREPRO_RUNS", str(tmp_path))
    committed = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    assert script.with_suffix(".ipynb").stat().st_size < 1e6
    source = notebooks.load(script)
    assert [cell.source for cell in source.cells] == [cell.source for cell in committed.cells], "run make notebooks"
    executed = notebooks.execute(script)
    for mine, theirs in zip(executed.cells, committed.cells, strict=True):
        assert _told(mine) == _told(theirs), mine.source
    pictures = sum("image/png" in o.get("data", {}) for cell in executed.cells for o in cell.get("outputs", []))
    assert pictures >= (2 if script.stem == "quickstart" else 3)


def _told(cell: nbformat.NotebookNode) -> list:
    """What a code cell printed or showed, pictures by their kind only."""
    return [
        output.get("text") or [(kind, "" if "image" in kind else text) for kind, text in sorted(output["data"].items())]
        for output in cell.get("outputs", [])
    ]
