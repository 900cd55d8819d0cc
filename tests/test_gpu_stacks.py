"""hydra/launcher=gpu_stacks: the records of runs side by side are those of runs alone."""

import csv
import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from bnrepro.data.resident import ResidentImages
from bnrepro.errors import UserError
from bnrepro.sweeps import jobs
from bnrepro.sweeps.gpu_stacks import GPUStacks
from bnrepro.tracking import mirror
from bnrepro.training import build
from bnrepro.training.stacks.kinds import DataSets, stack_key
from bnrepro.training.stacks.stack import Stack
from bnrepro.training.stacks.streams import Streams
from conftest import config_of
from fake_sweeps import master
from launches import start, wait_for_steps

SWEEP = (
    "-m",
    "experiment=figure2/inception_changes,figure2/inception_changes_equal",  # T / 4 and T
    "seed=0",
    "scale=smoke",
    "scale.imagenet.steps=12",
    "scale.imagenet.images_per_class=20",
    "evaluation.population_batches=4",
    "++probe.batches=1",
    "logger.mode=disabled",
)
STACKS = ("hydra/launcher=gpu_stacks", "hydra.launcher.processors=1")


def finish(environment: dict[str, str], *words: str) -> str:
    """What a sweep prints that has to succeed."""
    process = start(environment, *words)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out
    return out


def records(runs: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(runs.iterdir()) if (path / "status.json").exists()}


def rows_of(record: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(open(record / "metrics.csv")))


def test_records_are_those_of_runs_alone(environment, tmp_path):
    """Networks without BN, whose first steps do not amplify rounding."""
    finish(environment | {"BNREPRO_RUNS": str(tmp_path / "stacked")}, *SWEEP, *STACKS)
    finish(environment | {"BNREPRO_RUNS": str(tmp_path / "alone")}, *SWEEP)
    stacked, alone = records(tmp_path / "stacked"), records(tmp_path / "alone")
    assert stacked.keys() == alone.keys() and len(alone) == 2
    for name, record in alone.items():
        rows, expected = rows_of(stacked[name]), rows_of(record)
        assert [row["step"] for row in rows] == [row["step"] for row in expected]
        for row, like in zip(rows, expected, strict=True):
            for column in row.keys() - {"seconds"}:
                slack = 0.02 if "top" in column else 1e-3  # of 200 images some lie at the border of two classes
                assert float(row[column]) == pytest.approx(float(like[column]), rel=1e-3, abs=slack), (name, column)
        probes, like = np.load(stacked[name] / "probes.npz"), np.load(record / "probes.npz")
        assert probes.files == like.files
        np.testing.assert_allclose(probes["percentiles"], like["percentiles"], rtol=0.02, atol=0.05)
        status, like = (json.loads((r / "status.json").read_text()) for r in (stacked[name], record))
        assert status["state"] == "finished" and status["stacked_with"] == 2
        assert status["final"] == pytest.approx(like["final"], rel=1e-3, abs=0.02)
        checkpoint, like = (torch.load(r / "checkpoint.pt", weights_only=True) for r in (stacked[name], record))
        assert checkpoint.keys() == like.keys() and checkpoint["model"].keys() == like["model"].keys()
        assert checkpoint["optimizer"].keys() == like["optimizer"].keys()
        for key, moment in like["optimizer"].items():
            assert (checkpoint["optimizer"][key] - moment).norm() <= 0.3 * moment.norm(), key


def test_a_stack_that_is_stopped_goes_on(environment):
    runs = Path(environment["BNREPRO_RUNS"])
    words = ("-m", "experiment=figure2/bn_baseline,figure2/bn_x5_equal", *SWEEP[3:], *STACKS)
    process = start(environment, *words, "checkpoint_seconds=0")
    wait_for_steps(runs, 3, process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 143 and "interrupted at step" in out and "go on with" in out, out
    assert "2 finished" in finish(environment, *words)
    for record in records(runs).values():
        status = json.loads((record / "status.json").read_text())
        assert status["resumed"][0] >= 3 and [int(row["step"]) for row in rows_of(record)][-1] == 12


def test_an_exception_fails_the_runs_and_the_sweep_can_be_launched_again(tmp_path, monkeypatch):
    def broken(self) -> None:
        raise RuntimeError("the GPU is gone")

    launcher = GPUStacks(OmegaConf.create({"networks": 64, "processors": 1}))
    with master(*SWEEP[1:], f"runs_dir={tmp_path}") as config:
        planned = jobs.plan(config)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(Stack, "advance", broken)
        launcher.launch(planned, 0, tmp_path)
    for job in planned:
        assert list(job.states().values()) == ["failed"] and not job.is_locked()
        status = json.loads((job.record(*job.names) / "status.json").read_text())
        assert status["error"] == "RuntimeError: the GPU is gone"
    launcher.launch(planned, 0, tmp_path)
    assert [state for job in planned for state in job.states().values()] == ["finished", "finished"]


def test_a_stack_waits_until_wandb_has_the_ends_of_its_runs(tmp_path, monkeypatch):
    ends: list[mirror.End] = []

    def follow_slowly(self, *_) -> None:
        while not isinstance(item := self._queue.get(), mirror.End):
            pass
        time.sleep(1)
        ends.append(item)

    monkeypatch.setattr(mirror.Mirror, "_follow", follow_slowly)
    monkeypatch.setattr(mirror, "keep_out_of_home", lambda runs_dir: None)
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = ("scale.imagenet.steps=1", "evaluation.population_batches=1", "logger.mode=offline")
    with master(*SWEEP[1:], *words, f"runs_dir={tmp_path}") as config:
        GPUStacks(OmegaConf.create({"networks": 64, "processors": 1})).launch(jobs.plan(config), 0, tmp_path)
    assert [end.exit_code for end in ends] == [0, 0]
    kept = {name for end in ends for name, _ in end.artifacts}
    assert kept == {f"{name}-{part}" for name in records(tmp_path) for part in ("record", "checkpoint")}
    assert all("final/val/top1" in end.summary for end in ends)


def test_auxiliary_heads_count_in_the_loss_of_a_stack(environment, tmp_path):
    """The loss is a straight line in their weight; what drops out is the same in each run."""
    words = ("-m", "experiment=googlenet/plain", "scale.imagenet.steps=1", "evaluation.population_batches=1")
    losses = []
    for weight in (0.0, 0.3, 0.6):
        runs = tmp_path / str(weight)
        own = (*words, *(word for word in SWEEP[2:] if "steps" not in word), *STACKS, f"model.aux_weight={weight}")
        finish(environment | {"BNREPRO_RUNS": str(runs)}, *own)
        (record,) = records(runs).values()
        losses.append(float(rows_of(record)[0]["train/loss"]))
    assert losses[1] - losses[0] == pytest.approx(losses[2] - losses[1], rel=1e-3)
    assert losses[1] - losses[0] > 0.3 * np.log(10)  # no head knows the classes yet


def test_networks_see_what_they_see_alone():
    configs = [config_of(f"experiment=figure2/{name}", "scale=smoke") for name in ("inception", "bn_x5", "tune_plain")]
    data = DataSets()
    sources: list[ResidentImages] = [data.of(config) for config in configs]
    streams = Streams([*sources, sources[0]], [0, 3, 1, 0])
    assert len(streams.streams) == 3
    for step in (0, 1, 70):
        streams.load(step // 64)
        streams.step.fill_(step % 64)
        images, labels = streams.batch()
        for k, (source, seed) in enumerate(zip([*sources, sources[0]], [0, 3, 1, 0], strict=True)):
            expected, classes = source.batch(seed, step)
            torch.testing.assert_close(images[k].transpose(0, 1), expected, rtol=0, atol=1e-5)
            assert torch.equal(labels[k], classes)
    streams.close()


def test_what_can_share_a_stack():
    def of(*words: str):
        return stack_key(config_of(*words, "scale=smoke"))

    assert of("experiment=figure2/bn_x5") == of("experiment=figure2/tune_bn", "init.beta=1", "optimizer.base_lr=0.1")
    plain, per_activation = of("experiment=figure2/inception"), of("experiment=figure4/member6")
    assert of("experiment=figure2/bn_x5_sigmoid").shared == plain.shared != per_activation.shared
    assert not plain.norm and per_activation.norm != of("experiment=figure2/bn_x5").norm
    with pytest.raises(UserError, match="use hydra/launcher=joblib"):
        of("experiment=figure1/bn")
    assert build.stackable(config_of("experiment=figure2/bn_x5", "scale=smoke")) is False
