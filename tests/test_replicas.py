"""Two replicas against one process with the whole mini-batch: the same where it must be; and runs under torchrun."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch import nn

from bnrepro.layers import build_norm
from bnrepro.layers.sync import synchronise
from bnrepro.sweeps import worker
from bnrepro.training import build, experiment
from bnrepro.training.distributed import Replicas, joined
from bnrepro.training.look import Evaluator
from bnrepro.training.population import batch_norms, population_statistics
from bnrepro.training.validation import typed
from conftest import ROOT, compose_config
from launches import TRAIN, assert_same_run, only_run, wait_for_steps

CPU = torch.device("cpu")
WHOLE, HALF = 16, 8
RUN = (  # 80 steps
    *("experiment=figure2/bn_x5", "scale=smoke", "scale.imagenet.steps=320", "logger.mode=disabled"),
    *("data.images_per_class=10", "training.batch_size=8", "probe.batches=1", "evaluation.population_batches=2"),
)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")

multiprocessing.set_forkserver_preload(
    ["bnrepro.training.experiment", "hydra"]
)  # torch is imported once for all replicas


def _config(*overrides: str, replicas: int):
    size = WHOLE // replicas
    return typed(
        compose_config(
            "scale=smoke", *overrides, "model.dropout=0", f"training.batch_size={size}", f"training.replicas={replicas}"
        )
    )


def _task(config, replicas: Replicas):
    """In float64: rounding grows on its way down through a deep network with BN."""
    data = build.dataset(config, CPU, replicas)
    torch.set_default_dtype(torch.float64)
    try:
        return build.task(config, data, [0], CPU, replicas)
    finally:
        torch.set_default_dtype(torch.float32)


def _two_steps(config, replicas: Replicas) -> dict[str, torch.Tensor]:
    """The parameters and buffers after two steps at a fixed rate."""
    task = _task(config, replicas)
    optimizer = build.optimizer(config, task.model)
    for step in range(2):
        images, labels = task.batch([0], step)
        task.loss(images.double(), labels).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name: tensor.detach().clone() for name, tensor in task.model.state_dict().items()}


def _replica(rank: int, port: int, work: Callable, arguments: tuple) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    work(*arguments)


def by_two(work: Callable, *arguments) -> None:
    """Do it in two processes that may join as replicas, without torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes.start_processes(_replica, (port, work, arguments), nprocs=2, start_method="forkserver")


def _tell(overrides: tuple[str, ...], folder: Path) -> None:
    with joined(2, "cpu") as replicas:
        rank, state = replicas.rank, _two_steps(_config(*overrides, replicas=2), replicas)
        told = {
            "agreed": replicas.agree(20, rank == 1, False),
            "not asked": replicas.agree(7, rank == 1, True),
            "mean": replicas.mean(torch.tensor([float(rank), float("nan") if rank else 1.0])),
            "gathered": replicas.gather({"rank": rank}),
            "shared": replicas.share("from 0" if rank == 0 else None),
        }
    torch.save({"state": state, "told": told}, folder / f"{rank}.pt")


def both(folder: Path, *overrides: str) -> list[dict]:
    by_two(_tell, overrides, folder)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize(
    "overrides",
    [("experiment=figure2/inception",), ("experiment=figure2/bn_x5", "norm.sync=true")],
    ids=["without BN", "synchronised BN"],
)
def test_two_replicas_equal_one_process_with_the_whole_batch(tmp_path, overrides):
    one, other = both(tmp_path, *overrides)
    alone = _two_steps(_config(overrides[0], replicas=1), Replicas())
    for name, tensor in alone.items():
        torch.testing.assert_close(one["state"][name], tensor, rtol=1e-6, atol=1e-9, msg=name)
        assert torch.equal(one["state"][name], other["state"][name]), name
    assert one["told"]["agreed"] == other["told"]["agreed"] == (True, False)
    assert one["told"]["not asked"] == (False, False)
    assert one["told"]["mean"][0] == 0.5 and one["told"]["mean"][1].isnan()
    assert other["told"]["gathered"] == [{"rank": 0}, {"rank": 1}] and other["told"]["shared"] == "from 0"


def test_each_replica_normalises_by_its_own_mini_batch(tmp_path):
    """So the weights are those of averaged gradients over halves, and the moving averages differ."""
    one, other = both(tmp_path, "experiment=figure2/bn_x5")
    config = _config("experiment=figure2/bn_x5", replicas=1)
    whole = _task(config, Replicas())
    optimizer = build.optimizer(config, whole.model)
    for step in range(2):
        images, labels = whole.batch([0], step)
        for half in (slice(0, HALF), slice(HALF, WHOLE)):
            (whole.loss(images[half].double(), labels[half]).sum() / 2).backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, parameter in whole.model.named_parameters():
        torch.testing.assert_close(one["state"][name], parameter.detach(), rtol=1e-6, atol=1e-9, msg=name)
    name = "rows.3a.three.norm.running_mean"
    assert not torch.allclose(one["state"][name], other["state"][name])


ALGORITHM_2 = ("experiment=figure2/bn_x5", "data.images_per_class=10", "evaluation.population_batches=0")


def _population(folder: Path) -> None:
    with joined(2, "cpu") as replicas:
        config = _config(*ALGORITHM_2, replicas=2)
        task = build.task(config, build.dataset(config, CPU, replicas), [0], CPU, replicas)
        look = Evaluator(task, [], config.evaluation, "val", replicas.mean)
        look(1, last=True)
        torch.save({"statistics": look.statistics, "final": look.final}, folder / f"{replicas.rank}.pt")


def test_algorithm_2_is_over_the_mini_batches_of_all_replicas(tmp_path):
    by_two(_population, tmp_path)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    config = _config(*ALGORITHM_2, replicas=1)
    whole = build.task(config, build.dataset(config, CPU), [0], CPU)
    halves = [half for images in whole.population(0) for half in images.split(HALF)]
    assert len(halves) * HALF > 0.9 * len(whole.data.train_labels)  # all but the last, smaller batch of an epoch
    with population_statistics(whole.model, halves):
        for name in ("stem.conv1.norm.running_mean", "stem.conv1.norm.running_var"):
            torch.testing.assert_close(one["statistics"][name], whole.model.get_buffer(name))
    assert one["final"] == other["final"] and len(batch_norms(whole.model)) > 1
    assert all(torch.equal(one["statistics"][name], tensor) for name, tensor in other["statistics"].items())


def test_alone_a_synchronised_normaliser_is_an_ordinary_one():
    assert not dist.is_initialized()
    plain, synchronised = (build_norm("bn", 6) for _ in range(2))
    synchronise(nn.Sequential(synchronised))
    x = torch.randn(8, 6, 3, 3)
    assert torch.equal(plain(x), synchronised(x)) and torch.equal(plain.running_var, synchronised.running_var)


def _second_derivative(norm: nn.Module, x: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """d/dx of the product of a loss's gradient with a direction."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(norm(x).sin().square().sum(), x, create_graph=True)
    return torch.autograd.grad((gradient * direction).sum(), x)[0]


def _differentiate_twice(folder: Path) -> None:
    halves = [tensor.chunk(2) for tensor in torch.load(folder / "inputs.pt")]
    with joined(2, "cpu") as replicas:
        norm = synchronise(nn.Sequential(build_norm("bn", 3).double()))
        torch.save(_second_derivative(norm, *(half[replicas.rank] for half in halves)), folder / f"{replicas.rank}.pt")


def test_a_synchronised_normaliser_differentiates_twice(tmp_path):
    inputs = [torch.randn(8, 3, 2, 2, dtype=torch.float64) for _ in range(2)]
    torch.save(inputs, tmp_path / "inputs.pt")
    by_two(_differentiate_twice, tmp_path)
    second = torch.cat([torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)])
    torch.testing.assert_close(second, _second_derivative(build_norm("bn", 3).double(), *inputs))


def torchrun(environment: dict[str, str], *arguments: str, script: str = TRAIN[1]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*TORCHRUN, script, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def _train(*overrides: str) -> None:
    experiment.run(typed(compose_config(*overrides)), "python ...")


class KeepsRows:
    """Stands for a session: it keeps the history that each replica resumes with, and trains nothing."""

    folder: Path

    def __init__(self, config, command, runs, data, device, replicas):
        (run,) = runs
        torch.save([row["step"] for row in run.rows], self.folder / f"{replicas.rank}.pt")

    def train(self, stop) -> None: ...


def _resume_with_history(folder: Path, *overrides: str) -> None:
    experiment.Session, KeepsRows.folder = KeepsRows, folder
    _train(*overrides)


def test_two_replicas_under_torchrun_are_one_run(environment, tmp_path):
    """One record; the moving averages of both are kept; resumed it ends as it would have without the kill.

    Both replicas resume with the whole history, by which a run that has always been at chance ends early.
    """
    arguments, runs = (*RUN, "training.replicas=2"), Path(environment["BNREPRO_RUNS"])
    process = subprocess.Popen([*TORCHRUN, TRAIN[1], *arguments, "checkpoint_seconds=0.01"], cwd=ROOT, env=environment)
    wait_for_steps(runs, 20, process)
    process.terminate()
    process.wait(timeout=60)
    by_two(_resume_with_history, tmp_path, *arguments, f"runs_dir={runs}")
    histories = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert histories[0] == histories[1] and histories[0][-1] >= 20
    done = torchrun(environment, *arguments)
    assert done.returncode == 0 and done.stdout.count("finished") == 1, done.stdout + done.stderr
    resumed = only_run(runs)
    assert 20 <= json.loads((resumed / "status.json").read_text())["resumed"][0] < 80
    state = torch.load(resumed / "checkpoint.pt", weights_only=True)
    one, other = (buffers["stem.conv1.norm.running_mean"] for buffers in state["buffers"])
    assert state["step"] == 80 and not torch.equal(one, other)
    by_two(_train, *arguments, f"runs_dir={tmp_path / 'straight'}")
    assert_same_run(resumed, only_run(tmp_path / "straight"))


def test_the_number_of_replicas_is_part_of_a_run(monkeypatch, capsys):
    assert worker.train_here(compose_config(*RUN, "training.replicas=2"), "python ...") == 2
    assert "torchrun --nproc-per-node=2" in capsys.readouterr().out
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert worker.train_here(compose_config(*RUN), "python ...") == 2
    assert "set training.replicas=2" in capsys.readouterr().out


FAULT = """
import os, runpy, sys
from bnrepro.training.tasks.images import ImageClassification

loss = ImageClassification.loss

def faulty(self, images, labels):
    if self.rank == int(os.environ["FAULTY"]):
        raise OSError("the disk went away")
    return loss(self, images, labels)

ImageClassification.loss = faulty
sys.argv[0] = os.environ["TRAIN"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("rank", [0, 1])
def test_a_fault_of_one_replica_ends_all_and_is_told(environment, tmp_path, rank):
    script = tmp_path / "faulty.py"
    script.write_text(FAULT)
    faulty = environment | {"FAULTY": str(rank), "TRAIN": TRAIN[1]}
    done = torchrun(faulty, *RUN, "training.replicas=2", "seeds=[0,1]", script=str(script))
    assert done.returncode != 0 and "the disk went away" in done.stdout + done.stderr
    states = [json.loads(path.read_text()) for path in Path(environment["BNREPRO_RUNS"]).glob("*/status.json")]
    assert "finished" not in {status["state"] for status in states}
