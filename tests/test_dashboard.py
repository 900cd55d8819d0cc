"""Dashboards: they show what runs log, and say what to do without an account."""

import csv
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wandb_workspaces.reports.v2 as wr

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.cli import dashboard
from bnrepro.dashboard import panels, push
from bnrepro.dashboard.overview import Overview
from bnrepro.dashboard.panels import BEST
from bnrepro.records.files import read_json
from bnrepro.tracking import mirror, mirrored
from conftest import ROOT

RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def overview() -> Overview:
    return Overview(RESULTS)


@pytest.fixture(scope="module")
def sections(overview):
    return panels.sections(overview.id, overview.keys)


def logged_by(record: Path) -> set[str]:
    """The keys that a committed run sent to W&B."""
    with open(record / "metrics.csv", newline="") as file:
        history = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    with np.load(record / "probes.npz") as arrays:
        return {key for _, values in mirrored.rows(history, dict(arrays)) for key in values}


def logged_in(runs: Path) -> set[str]:
    """The keys in the only offline W&B run of a runs directory, its summary's included."""
    (log,) = runs.glob("wandb/offline-run-*/*.wandb")
    keys = set()
    for item in mirror.inspect(log):
        keys |= item.get("history", {}).get("item", {}).keys() | item.get("summary", {}).get("update", {}).keys()
    return keys | {key.removesuffix("/_type").removesuffix("._type") for key in keys}  # a picture or a table


def keys(panel) -> set[str]:
    """The keys of logged metrics, media and tables that a panel names; not those of the configuration."""
    lists = [getattr(panel, name, None) or [] for name in ("y", "metrics", "media_keys")]
    named = [key for keys in lists for key in (keys if isinstance(keys, list) else [keys])]
    named += [getattr(panel, "x", None), getattr(panel, "z", None)] if isinstance(panel, wr.ScatterPlot) else []
    named += [column.metric for column in getattr(panel, "columns", [])]
    named += [getattr(panel, "with_respect_to", None), getattr(panel, "table_name", None)]
    return {getattr(key, "name", key) for key in named if key and not isinstance(key, wr.Config)}


def test_panels_name_only_what_runs_log(door, environment, overview, sections, tmp_path, monkeypatch):
    runs = Path(environment["BNREPRO_RUNS"])
    instruments = "probe.instruments=[gradients,weights]"
    done = door("train.py", "experiment=figure1/bn", "scale=smoke", instruments, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    trained = logged_in(runs)
    inception = logged_by(next((RESULTS / "figure2" / "laptop" / "runs").glob("bn_baseline-s0-*")))
    sites = {f"gradients/weight/{place}" for place in panels.PLACES.values()}  # figure2 with the same instruments
    for kind in ("DATA", "CACHE", "CONFIG", "ARTIFACT"):
        monkeypatch.setenv(f"WANDB_{kind}_DIR", str(tmp_path / "staged"))
    overview.log(tmp_path / "other", "offline", "bnrepro")
    until = time.monotonic() + 60
    while "ledger" not in (shown := logged_in(tmp_path / "other")) and time.monotonic() < until:
        time.sleep(0.5)  # the service that writes the file may be a moment behind
    named = {key for section in sections for panel in section.panels for key in keys(panel)}
    assert named <= trained | inception | sites | shown | {"best/tune/top1"}
    assert "best/tune/top1" in {f"best/{metric}" for metric in mirror.BEST}
    assert {"gradients/weight/layer1", "sigmoid_input/layer3/unit0/p50", BEST, "final/val/top1", "state"} <= trained
    assert {"nonlinearity_input/rows_3b_three/p85"} <= inception
    assert {"figure2/target", "figure2/crossing/bn_baseline", "ledger", "figures/figure2"} <= shown
    overview.log(tmp_path / "other", "offline", "bnrepro")  # again: there is nothing new
    logs = list((tmp_path / "other").glob("wandb/offline-run-*/*.wandb"))
    assert len(logs) == 2 and sum(len(list(mirror.history(log))) for log in logs) == len(overview.rows) + 1


def test_figure_2_has_a_marker_where_each_network_reaches_inception(overview):
    rows = dict(overview.rows)
    marked = {key: step for step, values in rows.items() for key in values if key.startswith("figure2/crossing/")}
    arms = FIGURES["figure2"].arms(RESULTS)
    goal = figure2.target(arms["inception"])
    assert "figure2/crossing/inception" in marked
    for key, step in marked.items():
        assert step == round(np.median(figure2.steps(arms[key.split("/")[-1]], goal))) and rows[step][key] == goal
    marks = panels.figure2_style(overview.id)["line_marks"]
    assert {marks[f"{overview.id}:{key}"] for key in marked} == {"points"}


def test_the_layout_is_complete_and_the_report_has_the_ledger(overview, sections):
    names = [section.name for section in sections]
    wanted = ("Figure 1", "Figures 2 and 3", "Percentiles of each layer", "Gradients", "Sweeps", "Figures and ledger")
    assert set(wanted) <= set(names)
    report = push.report("", "", sections, overview.ledger)
    for section in sections:
        places = [panel.layout for panel in section.panels]
        assert all(place.x + place.w <= push.COLUMNS for place in places)
        cells = [(x, y) for p in places for x in range(p.x, p.x + p.w) for y in range(p.y, p.y + p.h)]
        assert len(cells) == len(set(cells)), f"panels of {section.name} overlap"
    sent = as_json(report)
    assert sum(block["type"] == "panel-grid" for block in sent["blocks"]) == len(sections)
    text = json.dumps(sent, ensure_ascii=False)
    for row in read_json(RESULTS / "claims.json"):
        assert f"| {row['id']} | " in text and row["verdict"] in text
    page = as_json(push.workspace("me", "bnrepro", sections))
    kept = page["section"]["panelBankConfig"]["sections"]
    assert [(one["name"], len(one["panels"])) for one in kept] == [(one.name, len(one.panels)) for one in sections]


def test_the_specification_is_the_same_each_time(overview, sections):
    def said() -> str:
        made = push.workspace("me", "bnrepro", panels.sections(overview.id, overview.keys))
        return json.dumps(_without_ids(as_json(made)))

    assert said() == said()
    assert Overview(RESULTS).id == overview.id


def as_json(page) -> dict:
    """What would be sent; the ids of panels and grids are random."""
    return json.loads(page._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))


def _without_ids(value):
    if isinstance(value, dict):
        return {key: _without_ids(one) for key, one in value.items() if key not in ("__id__", "id")}
    return [_without_ids(one) for one in value] if isinstance(value, list) else value


def test_without_an_account_or_a_terminal_it_is_one_line(monkeypatch, tmp_path, capsys):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.chdir(ROOT)
    for command, said in ((["push"], "wandb login"), (["local"], "wandb leet")):
        assert dashboard.main(["--runs", str(tmp_path), *command]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and said in line


def test_push_sends_workspace_and_report_and_brings_them_up_to_date(monkeypatch, tmp_path, overview):
    from wandb_workspaces.workspaces import Workspace

    saved: list[tuple[str, str]] = []

    def save(kind: str):
        def one(self) -> None:
            saved.append((kind, self._internal_id if kind == "workspace" else self.id))
            if kind == "workspace":
                self._internal_name, self._internal_id = "nw-1-v", "w1"
            else:
                self.id = "r1"

        return one

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(Workspace, "save", save("workspace"))
    monkeypatch.setattr(wr.Report, "save", save("report"))
    for kind in (Workspace, wr.Report):
        monkeypatch.setattr(kind, "url", property(lambda self: "address"))
    monkeypatch.setattr(wr.Runset, "_to_model", lambda self: None)
    monkeypatch.setattr(overview.__class__, "log", lambda self, *settings: None)
    for _ in range(2):
        assert push.push(overview, "bnrepro", "me", tmp_path) == ["address", "address"]
    assert saved == [("workspace", ""), ("report", ""), ("workspace", "w1"), ("report", "r1")]
    push.push(overview, "bnrepro", "me", tmp_path, fresh=True)
    assert saved[-2:] == [("workspace", ""), ("report", "")]


def test_ctrl_c_ends_the_live_views(environment):
    door = [sys.executable, str(ROOT / "scripts" / "dashboard.py"), "local"]
    ours, theirs = os.openpty()
    options = dict.fromkeys(("stdin", "stdout", "stderr"), theirs) | {"start_new_session": True}
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background ignore it
    with subprocess.Popen(door, env=environment, **options) as process:
        try:
            said = ""
            while "waiting for the first run" not in said:
                assert select.select([ours], [], [], 90)[0], said
                said += os.read(ours, 4096).decode()
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
            assert process.wait(60) == 0
        finally:
            process.kill()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no process of it is left
