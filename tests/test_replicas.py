"""Two replicas against one process with the whole mini-batch: the same where it must be."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch import nn

from bnrepro import build
from bnrepro.layers import build_norm
from bnrepro.layers.sync import synchronise
from bnrepro.training.distributed import Replicas, joined
from bnrepro.validation import typed
from conftest import compose_config

CPU = torch.device("cpu")
WHOLE, HALF = 16, 8


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


def _replica(rank: int, port: int, overrides: tuple[str, ...], folder: str) -> None:
    import os

    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with joined(2, "cpu") as replicas:
        state = _two_steps(_config(*overrides, replicas=2), replicas)
        told = {
            "agreed": replicas.agree(20, rank == 1, False),
            "not asked": replicas.agree(7, rank == 1, True),
            "mean": replicas.mean(torch.tensor([float(rank), float("nan") if rank else 1.0])),
            "gathered": replicas.gather({"rank": rank}),
            "shared": replicas.share("from 0" if rank == 0 else None),
        }
    torch.save({"state": state, "told": told}, f"{folder}/{rank}.pt")


def both(tmp_path, *overrides: str) -> list[dict]:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes.spawn(_replica, (port, overrides, str(tmp_path)), nprocs=2)
    return [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


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


def test_alone_a_synchronised_normaliser_is_an_ordinary_one():
    assert not dist.is_initialized()
    plain, synchronised = (build_norm("bn", 6) for _ in range(2))
    synchronise(nn.Sequential(synchronised))
    x = torch.randn(8, 6, 3, 3)
    assert torch.equal(plain(x), synchronised(x)) and torch.equal(plain.running_var, synchronised.running_var)
