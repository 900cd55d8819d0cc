"""hydra/launcher=gpu_stacks: the records of runs side by side are those of runs alone."""

import csv
import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from bnrepro.config.schema import Config
from bnrepro.data.resident import ResidentImages
from bnrepro.errors import UserError
from bnrepro.models.stacked_images import stack_networks
from bnrepro.records.run import RunDirectory
from bnrepro.sweeps import jobs
from bnrepro.sweeps.gpu_stacks import GPUStacks
from bnrepro.tracking import mirror
from bnrepro.training import build, experiment
from bnrepro.training.distributed import ALONE
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.population import population_statistics
from bnrepro.training.recorder import SeedRun
from bnrepro.training.session import Session
from bnrepro.training.stacks.evaluation import evaluate_by_population
from bnrepro.training.stacks.kinds import DataSets, stack_key
from bnrepro.training.stacks.run import StackedRun
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
SMALL = (  # looks at steps 1, 4 and 8
    *("scale=smoke", "data.images_per_class=20", "training.batch_size=8", "training.steps=8", "model.width=0.05"),
    *("training.steps_multiplier=1", "evaluation.every=4", "evaluation.log_points_per_decade=1"),
    *("evaluation.population_batches=2", "probe=none", "logger.mode=disabled"),
)
CPU = torch.device("cpu")


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


def small(runs: Path, experiment_name: str, *words: str) -> Config:
    return config_of(f"experiment={experiment_name}", *SMALL, f"runs_dir={runs}", *words)


def locked(config: Config) -> SeedRun:
    """The run of a configuration with one seed, ready to be trained from where it stands."""
    (name,) = experiment.run_names(config)
    seed_run = SeedRun(config.seed, RunDirectory(Path(config.runs_dir) / name))
    experiment.prepare(config, seed_run)
    assert seed_run.outcome is None, seed_run.outcome
    return seed_run


def stack_of(*configs: Config) -> Stack:
    """A stack of these runs in this process. None of them measures inside."""
    data = DataSets()
    runs = [StackedRun(config, "python ...", locked(config), data.of(config)) for config in configs]
    return Stack(runs, ThreadPoolExecutor(1))


def leave(stack: Stack) -> None:
    """Do what the end of a process does."""
    stack.close()
    for run in stack.runs:
        run.seed_run.directory.release()


def trained(*configs: Config, stop_at: int = 0, resume: Callable = lambda configs: configs) -> list[Path]:
    """Train runs in one stack. If it stops, it goes on in a new stack of what ``resume`` makes of the runs."""
    stack = stack_of(*configs)
    while not stack.has_ended():
        stack.advance()
        if stack.step == stop_at:
            stack.save()
            leave(stack)
            stack = stack_of(*resume(configs))
    leave(stack)
    return [Path(config.runs_dir) / experiment.run_names(config)[0] for config in configs]


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


def test_a_stack_with_dropout_that_is_stopped_ends_as_if_it_was_not(tmp_path):
    """On a CPU the record says so. Another stack drops out other units, and the record says that too."""

    def configs(name: str) -> list[Config]:
        return [small(tmp_path / name, "figure2/inception", "model.dropout=0.4", f"seed={seed}") for seed in (0, 1)]

    straight = trained(*configs("straight"))
    stopped = trained(*configs("stopped"), stop_at=4)
    for record, like in zip(stopped, straight, strict=True):
        status = json.loads((record / "status.json").read_text())
        assert status["resumed"] == [4] and status["exact_resume"]
        mine, theirs = (torch.load(path / "checkpoint.pt", weights_only=True) for path in (record, like))
        for part in ("model", "optimizer"):
            assert all(torch.equal(mine[part][name], theirs[part][name]) for name in theirs[part])
    for record in trained(*configs("turned"), stop_at=4, resume=lambda configs: configs[::-1]):
        assert not json.loads((record / "status.json").read_text())["exact_resume"]


def test_a_run_without_momentum_that_began_alone_goes_on_in_a_stack(tmp_path):
    config = small(tmp_path, "figure2/inception", "optimizer.momentum=0")
    seed_run = locked(config)
    stop = StopRequest()
    stop.signum = signal.SIGTERM
    Session(config, "python ...", [seed_run], build.dataset(config, CPU), CPU, ALONE).train(stop)
    assert seed_run.outcome.state == "interrupted"
    seed_run.directory.release()
    (record,) = trained(config)
    status = json.loads((record / "status.json").read_text())
    assert status["resumed"] == [1] and status["state"] == "finished"


def test_a_run_that_was_killed_before_its_status_said_that_it_had_ended_ends_again(tmp_path):
    config = small(tmp_path, "figure2/inception")
    (record,) = trained(config)
    before = json.loads((record / "status.json").read_text())
    (record / "status.json").write_text(json.dumps(before | {"state": "running", "final": None}))
    trained(config)
    after = json.loads((record / "status.json").read_text())
    assert (after["state"], after["final"]) == ("finished", before["final"])


def test_a_save_does_not_decide_where_a_run_of_a_stack_diverges(tmp_path):
    """Parameters that overflow between looks end a run by its next loss, whether it was saved meanwhile or not."""
    config = small(tmp_path, "figure2/inception")
    stack = stack_of(config)
    stack.model.classifier.bias.data[0] = float("inf")
    stack.save()
    assert stack.step == 0 and not stack.has_ended()
    leave(stack)
    (record,) = trained(config)
    status = json.loads((record / "status.json").read_text())
    assert (status["state"], status["diverged_at"]) == ("diverged", 1)


def test_a_look_of_other_runs_does_not_decide_where_a_run_diverges(tmp_path):
    longer, shorter = (small(tmp_path, "figure2/inception", f"training.steps={steps}") for steps in (8, 6))
    stack = stack_of(longer, shorter)
    stack.model.classifier.bias.data[:] = float("inf")
    stack.step = 6
    stack._take_losses()
    assert [run.seed_run.diverged_at for run in stack.runs] == [None, 6]
    leave(stack)


def test_no_number_of_batches_is_a_whole_epoch_of_algorithm_2(tmp_path):
    config = small(tmp_path, "figure2/bn_baseline", "evaluation.population_batches=0")
    data = DataSets().of(config)
    run = StackedRun(config, "python ...", SeedRun(0, RunDirectory(tmp_path / "run")), data)
    _, statistics = evaluate_by_population(stack_networks([run.network]).train(), [run])
    task = build.task(config, data, [0], CPU)
    with population_statistics(task.model, task.population(data.steps_per_epoch), task.predict):
        for name in ("stem.conv1.norm.running_mean", "stem.conv1.norm.running_var"):
            torch.testing.assert_close(statistics[name][0], task.model.get_buffer(name))
    assert statistics["stem.conv1.norm.num_batches_tracked"] == data.steps_per_epoch


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
    splits = [("experiment=figure2/bn_x5", f"data.split={split}") for split in ("full", "tune")]
    assert of(*splits[0]) == of(*splits[1])
    assert len({of(*words, "evaluation.population_batches=0") for words in splits}) == 2  # their epochs differ
    with pytest.raises(UserError, match="use hydra/launcher=joblib"):
        of("experiment=figure1/bn")
    assert build.stackable(config_of("experiment=figure2/bn_x5", "scale=smoke")) is False
