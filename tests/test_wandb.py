"""The W&B mirror: what it holds offline, that a resumed run goes on in it, and that it can never hurt a run."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bnrepro.analysis.figures.figure4 import FILES
from bnrepro.records.run import RECORD_FILES
from bnrepro.tracking import mirror, wandb_setup
from conftest import ROOT
from fake_wandb import serve

SMALL = ("experiment=figure1/bn", "scale=smoke")
OFFLINE = {"WANDB_MODE": "offline"}


def artifacts(log: Path) -> list[dict]:
    """The artifacts that a local W&B file asks to be sent."""
    return [item["artifact"] for item in mirror.inspect(log) if item["type"] == "artifact"]


def histories(runs: Path) -> list[tuple[str, list[dict]]]:
    """(W&B id, history rows) of each offline folder, oldest first."""
    logs = sorted(runs.glob("wandb/offline-run-*/*.wandb"))
    return [(log.parent.name.split("-", 3)[3], mirror.history(log)) for log in logs]


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
    (log,) = runs.glob("wandb/offline-run-*/*.wandb")
    everything = json.dumps(mirror.inspect(log))
    for expected in (status["group"], "figure1", "smoke", '"train"', status["commit"] or "commit"):
        assert expected in everything
    assert [row["_step"] for row in rows] == steps
    assert '"state":"finished"' in everything.replace(" ", "") and "final/val/top1" in everything
    kept = {artifact["name"]: artifact for artifact in artifacts(log)}
    assert {name: artifact["type"] for name, artifact in kept.items()} == {
        f"{path.name}-record": "record",
        f"{path.name}-checkpoint": "model",
    }
    files = [Path(file["local_path"]) for artifact in kept.values() for file in artifact["manifest"]["contents"]]
    assert sorted(files) == sorted(path / name for name in (*RECORD_FILES, "checkpoint.pt"))  # no copy of them
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
    lines = (path / "metrics.csv").read_text().splitlines()[1:]
    steps = [row["_step"] for row in before + after]
    assert steps == [int(line.split(",")[0]) for line in lines]  # over both parts: none twice, none missing


PART = """
import sys, time
from pathlib import Path
from bnrepro.tracking.mirror import End, Mirror
rows = [(step, {"val/top1": 1 - step / 1000}) for step in (1, 2, 10, 100, 125, 150, 200)]
mirror = Mirror(Path(sys.argv[1]), "offline", 60, id="bn-s0-g-1", project="bnrepro", group="bn-g", tags=["figure1"])
mirror.sync(rows[: int(sys.argv[2])])
mirror.close(End(int(sys.argv[3])))
assert (complaint := mirror.wait_until(time.monotonic() + 60)) is None, complaint
"""


def write_part(environment: dict[str, str], count: int, code: int) -> None:
    """One process of an offline run: it has the first so many rows of the whole history."""
    command = [sys.executable, "-c", PART, environment["BNREPRO_RUNS"], str(count), str(code)]
    path = str(ROOT / "src")
    subprocess.run(command, env=environment | OFFLINE | {"PYTHONPATH": path}, check=True, timeout=120)


@pytest.mark.parametrize("pushed_in_between", [False, True])
def test_parts_of_an_offline_run_are_pushed_as_one_run(environment, pushed_in_between):
    runs = Path(environment["BNREPRO_RUNS"])
    runs.mkdir()
    account = environment | {"WANDB_API_KEY": "0" * 40, "WANDB_MODE": "online"}

    def push() -> None:
        folders = sorted(str(folder) for folder in runs.glob("wandb/offline-run-*"))
        command = [sys.executable, "-m", "wandb", "sync", *folders]
        subprocess.run(command, cwd=runs, env=account | {"WANDB_BASE_URL": server.url}, check=True, timeout=120)

    with serve() as server:
        write_part(environment, 4, 143)
        if pushed_in_between:
            push()
        write_part(environment, 7, 0)
        push()
    ((run, rows),) = server.rows.items()
    assert run == "bn-s0-g-1"
    assert [rows[k]["_step"] for k in sorted(rows)] == [1, 2, 10, 100, 125, 150, 200]
    assert [rows[k]["val/top1"] for k in sorted(rows)] == [1 - rows[k]["_step"] / 1000 for k in sorted(rows)]
    assert server.summary[run]["val/top1"] == pytest.approx(0.8)
    assert server.summary[run]["best/val/top1"] == pytest.approx(0.999)  # it was in the first part
    told = [values for name, values in server.asked if name == "UpsertBucket" and values["groupName"]]
    assert {values["groupName"] for values in told} == {"bn-g"}


EVALUATED = """
import sys
from pathlib import Path
from bnrepro.tracking import mirrored
from bnrepro.analysis.figures.figure4 import FILES
from bnrepro.config.schema import Logger
from bnrepro.records.files import read_json
runs, folder = map(Path, sys.argv[1:])
info = read_json(folder / "evaluation.json")
mirrored.evaluation(Logger(timeout_seconds=60), runs, "figure4-laptop", [folder / name for name in FILES], info)
"""


def test_an_evaluation_is_a_run_that_keeps_its_files(environment):
    runs, folder = Path(environment["BNREPRO_RUNS"]), ROOT / "results" / "figure4" / "laptop"
    runs.mkdir()
    command = [sys.executable, "-c", EVALUATED, str(runs), str(folder)]
    path = {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment | OFFLINE | path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr
    ((_, rows),) = histories(runs)
    assert not rows
    ((log,),) = [list(run.glob("*.wandb")) for run in runs.glob("wandb/offline-run-*-figure4-laptop-????????")]
    (kept,) = artifacts(log)
    assert (kept["name"], kept["type"]) == ("figure4-laptop", "evaluation")
    contents = kept["manifest"]["contents"]
    assert sorted(file["path"] for file in contents) == sorted(FILES)
    for file in contents:  # a copy, as the next evaluation writes over them
        assert not Path(file["local_path"]).is_relative_to(folder)
        assert Path(file["local_path"]).read_bytes() == (folder / file["path"]).read_bytes()


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
    path = os.pathsep.join([str(fake.parent), environment.get("PYTHONPATH", "")])
    done = door("train.py", *SMALL, "logger.timeout_seconds=1", PYTHONPATH=path, **OFFLINE)
    assert done.returncode == 0, done.stderr
    assert "W&B" in done.stdout and "finished" in done.stdout
    (path,) = Path(environment["BNREPRO_RUNS"]).glob("bn-s0-*")
    status = json.loads((path / "status.json").read_text())
    assert status["state"] == "finished"
    assert (datetime.now(UTC) - datetime.fromisoformat(status["ended"])).total_seconds() < 30  # it was not waited for


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
    assert wandb_setup.resolve_mode("auto") == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password " + "0" * 40)
    assert wandb_setup.resolve_mode("auto") == "online"
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert wandb_setup.resolve_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_setup.resolve_mode("auto") == "disabled"
    assert wandb_setup.resolve_mode("offline") == "offline"
