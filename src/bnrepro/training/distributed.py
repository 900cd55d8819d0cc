"""Replicas of one run that torchrun starts: each has its own mini-batch, and its own batch statistics (Sec. 4.2).

Every replica runs the same program and holds the same weights; the first one alone locks, records and reports.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bnrepro.errors import UserError

AGREE_EVERY = 20  # steps between agreeing on whether to stop or to save; to agree is to wait for each other


@dataclass(frozen=True)
class Replicas:
    """This process's rank among ``count`` replicas; alone, everything here is free."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this replica keeps the record."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """What the training step calls, so that gradients are averaged over the replicas."""
        if self.count == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, forward_sync_buffers=False, gradient_as_bucket_view=True)

    def agree(self, step: int, *wishes: bool) -> tuple[bool, ...]:
        """For each wish whether any replica has it; between the steps at which they agree, no."""
        if self.count == 1:
            return wishes
        if step % AGREE_EVERY:
            return (False,) * len(wishes)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        flags = torch.tensor(wishes, dtype=torch.int32, device=device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in flags.tolist())

    def mean(self, values: Tensor) -> Tensor:
        """The mean over replicas; a NaN of one is a NaN of all."""
        if self.count == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.count

    def gather(self, own: Any) -> list[Any]:
        """Every replica's ``own``, by rank."""
        values = [own] * self.count
        if self.count > 1:
            dist.all_gather_object(values, own)
        return values

    def share(self, value: Any) -> Any:
        """The leading replica's value, to all."""
        values = [value]
        if self.count > 1:
            dist.broadcast_object_list(values, src=0)
        return values[0]


ALONE = Replicas()


@contextmanager
def joined(expected: int, device: str) -> Iterator[Replicas]:
    """The replicas that torchrun started, connected (NCCL on GPUs, Gloo on CPUs) for as long as this is entered.

    Their number is part of a run's identity: another one than ``expected`` is a `UserError`.
    """
    replicas = Replicas(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    count = replicas.count
    if count != expected:
        torchrun = f"torchrun --nproc-per-node={expected} scripts/train.py ..."
        start = torchrun if expected > 1 else "python scripts/train.py"
        raise UserError(
            f"training.replicas={expected}, but {count} started; run {start}, or set training.replicas={count}"
        )
    if replicas.count == 1:
        yield replicas
        return
    on_gpus = device.startswith("cuda")
    if on_gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpus else "gloo")
    try:
        yield replicas
    finally:
        dist.destroy_process_group()
