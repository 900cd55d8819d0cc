"""Twelve runs, their sweep killed five times at random: twelve finished in the end, none of them repeated."""

import json
import random
import re
import subprocess
import time
from pathlib import Path

import psutil

from conftest import ROOT
from launches import TRAIN

RUNS, KILLS = 12, 5


def records(runs: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text()) for path in runs.glob("*-s*/status.json")}


def test_twelve_runs_and_five_kills(environment):
    runs = Path(environment["BNREPRO_RUNS"])
    command = [
        *TRAIN,
        "-m",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "experiment=figure1/plain",
        "scale=smoke",
    ]
    command += ["scale.mnist.steps=400", "probe=none", "evaluation.every=400", "evaluation.population_batches=2"]
    command += [f"seed=range({RUNS})", "logger.mode=disabled", "checkpoint_seconds=0.05"]
    chance = random.Random(20150211)
    finished: dict[str, dict] = {}
    output = ""
    for attempt in range(KILLS + 1):
        sweep = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if attempt == KILLS:
            output = sweep.communicate(timeout=3600)[0]
            break
        goal = len(finished) + chance.choice([0, 0, 1, 2])  # wait for so many finished runs, and a while longer
        begun = {name: one["step"] for name, one in records(runs).items()}
        while True:
            now = records(runs)
            ended = sum(one["state"] == "finished" for one in now.values())
            if ended >= goal and {name: one["step"] for name, one in now.items()} != begun:
                break
            assert sweep.poll() is None, sweep.communicate()[0]
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 1))
        family = psutil.Process(sweep.pid).children(recursive=True)
        sweep.kill()
        sweep.communicate()
        _, alive = psutil.wait_procs(family, timeout=300)
        assert not alive
        now = records(runs)
        for name, one in finished.items():
            assert now[name] == one, "a finished run was touched"
        finished = {name: one for name, one in now.items() if one["state"] == "finished"}
    assert sweep.returncode == 0, output
    assert f"sweep: {RUNS} runs, {len(finished)} of them finished before" in output
    assert f"sweep: {RUNS} finished" in output
    done = records(runs)
    assert len(done) == RUNS and {one["state"] for one in done.values()} == {"finished"}
    for name, one in finished.items():
        assert done[name] == one
    trained = re.findall(r"^(plain-s\d+-\w+): finished", output, re.MULTILINE)
    assert sorted(trained) == sorted(set(done) - set(finished))  # the last launch trained what was missing, once
    resumed = sum(len(one["resumed"]) for one in done.values())
    print(f"{KILLS} kills; {len(finished)} runs finished before the last launch, {resumed} resumptions")
    assert resumed >= 1
