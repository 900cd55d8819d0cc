"""Runs launched as processes: started, waited for, and compared to the bit; and one trained right here."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bnrepro.config.schema import Config
from bnrepro.training import build, experiment
from bnrepro.training.loop import Member, Trainer
from bnrepro.training.validation import typed
from conftest import ROOT, compose_config

TRAIN = (sys.executable, str(ROOT / "scripts" / "train.py"))
SMALL = ("experiment=figure1/bn", "scale=smoke", "scale.mnist.steps=30")

TWO_STEPS = (  # of any experiment
    *("scale=smoke", "scale.imagenet.images_per_class=10", "training.steps=2", "training.steps_multiplier=1"),
    *("evaluation.every=2", "evaluation.population_batches=2", "++probe.batches=1", "logger.mode=disabled"),
)


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen:
    return subprocess.Popen([*TRAIN, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def trained_here(runs: Path, *overrides: str) -> Path:
    """The record of a run that nothing interrupts, trained in this process."""
    experiment.run(typed(compose_config(*overrides, f"runs_dir={runs}")), "python ...")
    return only_run(runs)


def finished(config: Config) -> list[Path]:
    """The records of the runs of a configuration, which have to finish, trained in this process."""
    outcomes = experiment.run(config, "test")
    assert {outcome.state for outcome in outcomes} == {"finished"}, [outcome.message for outcome in outcomes]
    return [Path(config.runs_dir) / outcome.name for outcome in outcomes]


def trainer_of(config: Config, seeds: list[int], steps: int) -> Trainer:
    """The loop of these seeds on the CPU, side by side, which evaluates nothing."""
    device = torch.device("cpu")
    task = build.task(config, build.dataset(config, device), seeds, device)
    members, optimizer = [Member(seed) for seed in seeds], build.optimizer(config, task.model)
    return Trainer(task, optimizer, members, steps, build.rate(config), {steps}, lambda step: [{} for _ in seeds])


def only_run(runs: Path) -> Path:
    (directory,) = [path for path in runs.iterdir() if "-s" in path.name]
    return directory


def wait_for_steps(runs: Path, steps: int, process: subprocess.Popen) -> Path:
    """Wait until a run's checkpoint is at least at that step."""
    for _ in range(12_000):  # ten minutes, for a machine that has other work
        for path in runs.glob("*-s*/status.json"):
            if json.loads(path.read_text()).get("step", 0) >= steps:
                return path.parent
        assert process.poll() is None, process.stdout and process.stdout.read()
        time.sleep(0.05)
    raise AssertionError("the run never got there")


def assert_same_run(first: Path, second: Path) -> None:
    """The two directories hold the same run to the bit: weights, buffers, probes, history (clock times aside)."""
    mine, theirs = (torch.load(path / "checkpoint.pt", weights_only=True) for path in (first, second))
    for part in ("model", "optimizer"):
        assert mine[part].keys() == theirs[part].keys()
        for name in mine[part]:
            assert torch.equal(mine[part][name], theirs[part][name]), name
    rows = [pd.read_csv(path / "metrics.csv").drop(columns="seconds") for path in (first, second)]
    pd.testing.assert_frame_equal(*rows, check_exact=True)
    arrays = [np.load(path / "probes.npz") for path in (first, second)]
    assert set(arrays[0].files) == set(arrays[1].files) >= {"steps", "layers", "units", "percentiles"}
    for name in arrays[0].files:
        np.testing.assert_array_equal(arrays[0][name], arrays[1][name])


def only_line(process: subprocess.CompletedProcess) -> str:
    """The one line of a script that refused its work."""
    lines = [line for line in (process.stdout + process.stderr).splitlines() if line.strip()]
    assert len(lines) == 1, process.stdout + process.stderr
    assert process.returncode not in (0, -9), process.returncode
    return lines[0]
