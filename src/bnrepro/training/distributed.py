"""Replicas of one run, which torchrun starts. Each has its own mini-batches and its own batch statistics (Sec. 4.2).

Every replica runs the same program and holds the same weights. Only the first one locks, records and reports.
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

AGREE_EVERY = 20  # steps between agreements on whether to stop or to save, in which the replicas wait for each other


@dataclass(frozen=True)
class Replicas:
    """This process's rank among ``count`` replicas. For a process alone every method returns what it was given."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this replica keeps the record."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return what the training step calls, so that gradients are averaged over the replicas."""
        if self.count == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, forward_sync_buffers=False, gradient_as_bucket_view=True)

    def agree(self, step: int, *requests: bool) -> tuple[bool, ...]:
        """Return for each wish whether any replica has it. Only at every `AGREE_EVERY`-th step can that be so."""
        if self.count == 1:
            return requests
        if step % AGREE_EVERY:
            return (False,) * len(requests)
        flags = torch.tensor(requests, dtype=torch.int32, device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in flags.tolist())

    def mean(self, values: Tensor) -> Tensor:
        """The mean over replicas. A NaN of one replica makes it NaN."""
        if self.count == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.count

    def gather(self, value: Any) -> list[Any]:
        """The values of all replicas, by rank."""
        values = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(values, value)
        return values

    def share(self, value: Any) -> Any:
        """The value of the first replica."""
        values = [value]
        if self.count > 1:
            dist.broadcast_object_list(values, src=0)
        return values[0]


ALONE = Replicas()


@contextmanager
def joined(expected: int, device: str) -> Iterator[Replicas]:
    """Connect the replicas that torchrun started, by NCCL on GPUs and by Gloo on CPUs.

    Their number is part of a run's identity, so another one than expected is refused.
    """
    replicas = Replicas(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    if replicas.count != expected:
        launcher = f"torchrun --nproc-per-node={expected} scripts/train.py ..."
        raise UserError(
            f"training.replicas={expected}, but {replicas.count} started; "
            f"run {launcher if expected > 1 else 'python scripts/train.py'}, "
            f"or set training.replicas={replicas.count}"
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
