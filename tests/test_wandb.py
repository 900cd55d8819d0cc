"""The W&B mirror: what it holds offline, that a resumed run goes on in it, and that it can never hurt a run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnrepro.records import mirror
from conftest import ROOT

SMALL = ("experiment=figure1/bn", "scale=smoke")
OFFLINE = {"WANDB_MODE": "offline"}


def inspect(folder: Path) -> list[dict]:
    """Every record of an offline W&B run, by W&B's own reader."""
    wandb = Path(sys.executable).with_name("wandb")
    command = [str(wandb), "leet", "inspect", "--json", str(folder)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [json.loads(line) for line in out.splitlines()]


def histories(runs: Path) -> list[tuple[str, list[dict]]]:
    """(W&B id, history rows) of each offline folder, oldest first."""
    found = []
    for folder in sorted((runs / "wandb").glob("offline-run-*")):
        records = inspect(folder)
        rows = [record for record in records if record["type"] == "history"]
        found.append((folder.name.split("-", 3)[3], rows))
    return found


def test_an_offline_run_mirrors_the_record(door, environment):
    runs = Path(environment["BNREPRO_RUNS"])
    assert door("train.py", *SMALL, **OFFLINE).returncode == 0
    (path,) = runs.glob("bn-s0-*")
    status = json.loads((path / "status.json").read_text())
    ((wandb_id, rows),) = histories(runs)
    assert wandb_id == status["wandb_id"] and wandb_id.startswith(path.name)
    lines = (path / "metrics.csv").read_text().splitlines()
    steps = [int(line.split(",")[0]) for line in lines[1:]]
    text = [json.dumps(row) for row in rows]
    assert len(rows) == len(steps)
    last = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    assert last["val/top1"] in text[-1] and "sigmoid_input/layer3/unit0/p50" in text[-1]
    (folder,) = (runs / "wandb").glob("offline-run-*")
    everything = json.dumps(inspect(folder))
    for expected in (status["group"], "figure1", "smoke", '"train"', status["commit"] or "commit"):
        assert expected in everything
    assert not list(Path(environment["HOME"]).glob(".local/share/wandb*")), (
        "nothing may be staged in the home directory"
    )


def test_a_killed_and_resumed_run_goes_on_as_the_same_wandb_run(environment):
    runs = Path(environment["BNREPRO_RUNS"])
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *SMALL]
    first = subprocess.Popen([*command, "checkpoint_seconds=0.01"], cwd=ROOT, env=environment | OFFLINE)
    while len(list(runs.glob("wandb/offline-run-*/*.wandb"))) < 1 or not list(runs.glob("bn-s0-*/metrics.csv")):
        time.sleep(0.05)
    time.sleep(1.5)
    first.kill()
    first.wait()
    time.sleep(1)
    assert subprocess.run(command, cwd=ROOT, env=environment | OFFLINE, check=False).returncode == 0
    (path,) = runs.glob("bn-s0-*")
    (first_id, before), (second_id, after) = histories(runs)
    assert first_id == second_id == json.loads((path / "status.json").read_text())["wandb_id"]
    assert len(after) == len((path / "metrics.csv").read_text().splitlines()) - 1  # the whole history, so no gap
    assert len(before) <= len(after)


@pytest.mark.parametrize(
    "module",
    [
        "raise ImportError('no wandb here')",
        "import time; time.sleep(3600)",
        "def __getattr__(name): raise RuntimeError('wandb is broken')",
    ],
    ids=["absent", "hanging", "broken"],
)
def test_no_wandb_can_stop_or_lose_a_run(door, environment, tmp_path, module):
    fake = tmp_path / "fake" / "wandb"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(module)
    began = time.monotonic()
    done = door("train.py", *SMALL, "logger.timeout_seconds=1", PYTHONPATH=str(fake.parent), **OFFLINE)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    assert "W&B" in done.stdout and "finished" in done.stdout
    (path,) = Path(environment["BNREPRO_RUNS"]).glob("bn-s0-*")
    assert json.loads((path / "status.json").read_text())["state"] == "finished"


def test_an_account_without_a_network_falls_back_to_offline(door, environment):
    done = door(
        "train.py",
        *SMALL,
        "logger.timeout_seconds=5",
        WANDB_MODE="online",
        WANDB_API_KEY="0" * 40,
        WANDB_BASE_URL="http://127.0.0.1:9",
    )
    assert done.returncode == 0 and "finished" in done.stdout, done.stdout + done.stderr
    runs = Path(environment["BNREPRO_RUNS"])
    (path,) = runs.glob("bn-s0-*")
    ((_, rows),) = histories(runs)
    assert len(rows) == len((path / "metrics.csv").read_text().splitlines()) - 1


def test_mode_follows_account_and_request(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert mirror.resolve_mode("auto") == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password " + "0" * 40)
    assert mirror.resolve_mode("auto") == "online"
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert mirror.resolve_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert mirror.resolve_mode("auto") == "disabled"
    assert mirror.resolve_mode("offline") == "offline"
