"""The training loop: networks side by side, looked at on a schedule, saved so that any kill can be undone."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from bnrepro.models.stacked import join_states, split_state
from bnrepro.training.distributed import ALONE, Replicas
from bnrepro.training.interrupt import StopRequest


@dataclass
class Member:
    """One network of the stack: its seed, its rows so far, and whether it still counts."""

    seed: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    diverged_at: int | None = None


@dataclass
class Trainer:
    """Everything the loop works on; ``states`` gives what a checkpoint holds of it, and ``restore`` takes it up.

    Args:
        task: the networks and what they are trained on (`bnrepro.training.tasks`).
        optimizer: steps all S networks; the loss is a sum over networks, so their gradients never mix.
        members: the S networks.
        steps: how many steps make the run.
        rate: the learning rate of a step (from 0).
        looks: the steps after which ``look(step)`` evaluates; it gives each network's values by column.
        save: called with the number of steps done whenever the state must become durable.
        save_every: seconds between such calls.
        gives_up: called at a look with the number of steps done; true ends the run here, with this look as its last.
        tick: called now and then with the number of steps done, for a progress display.
        replicas: with several, each has its own batches, and they stop, save and diverge together.
    """

    task: Any
    optimizer: torch.optim.Optimizer
    members: list[Member]
    steps: int
    rate: Callable[[int], float]
    looks: set[int]
    look: Callable[[int], list[dict[str, float]]]
    save: Callable[[int], None] = lambda done: None
    save_every: float = float("inf")
    gives_up: Callable[[int], bool] = lambda done: False
    tick: Callable[[int], None] = lambda done: None
    replicas: Replicas = ALONE
    step: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.model = self.task.model
        device = next(self.model.parameters()).device
        # Losses since the last row, fetched only when there is a look or a save: the loop itself never waits.
        longest = max(b - a for a, b in pairwise([0, *sorted(self.looks)]))
        self.losses = torch.zeros(longest + 1, len(self.members), device=device)
        self.pending = self.averaged = 0  # losses since the last row; those of them that all replicas agree on

    def train(self, stop: StopRequest) -> None:
        """Train from ``step`` to ``steps``, until every network has diverged, or until asked to stop."""
        seeds = [member.seed for member in self.members]
        self._end_here_if_it_gives_up()
        if all(member.diverged_at is not None for member in self.members):
            return
        if self.step == self.steps:  # killed after its last checkpoint, before its status said that it has ended
            self.look(self.step)
            self.save(self.step)
            return
        began, last_save = time.monotonic() - self.seconds, time.monotonic()
        self.model.train()
        while self.step < self.steps:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(self.step)
            self.task.prepare(seeds, self.step)
            loss = self.task.loss(*self.task.batch(seeds, self.step))
            loss.sum().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.losses[self.pending] = loss.detach()
            self.pending += 1
            self.step += 1

            if self.step % 50 == 0:
                self.tick(self.step)
            looking = self.step in self.looks
            self._end_here_if_it_gives_up()
            overdue = time.monotonic() - last_save > self.save_every
            stopping, overdue = self.replicas.agree(self.step, stop.signum is not None, overdue)
            saving = stopping or overdue or self.step == self.steps
            if not looking and not saving:
                continue
            self.seconds = time.monotonic() - began
            new = slice(self.averaged, self.pending)
            self.losses[new], self.averaged = self.replicas.mean(self.losses[new]), self.pending
            self._find_divergence()
            everyone_diverged = all(member.diverged_at for member in self.members)
            if looking and not everyone_diverged:
                self._add_rows(self.look(self.step))
                self.tick(self.step)
            if saving or everyone_diverged:
                self.save(self.step)
                last_save = time.monotonic()
            if stopping or everyone_diverged:
                return

    def _end_here_if_it_gives_up(self) -> None:
        if self.step in self.looks and self.gives_up(self.step):
            self.steps = self.step

    def _add_rows(self, values: list[dict[str, float]]) -> None:
        means = self.losses[: self.pending].mean(0).tolist()
        self.pending = self.averaged = 0
        shared = {
            "step": self.step,
            "epoch": round(self.step / self.task.steps_per_epoch, 4),
            "seconds": round(self.seconds, 2),
            "lr": self.optimizer.param_groups[0]["lr"],
        }
        for member, mean, own in zip(self.members, means, values, strict=True):
            if member.diverged_at is None:
                member.rows.append(shared | {"train/loss": float(f"{mean:.6g}")} | own)

    def _find_divergence(self) -> None:
        """Note each network's first step with a non-finite loss; a non-finite parameter counts from now."""
        finite = torch.isfinite(self.losses[: self.pending]).cpu()
        parameters = {name: tensor.detach() for name, tensor in self.model.named_parameters()}
        own_parameters = split_state(parameters, len(self.members))
        for k, member in enumerate(self.members):
            if member.diverged_at is not None:
                continue
            if not finite[:, k].all():
                first = int((~finite[:, k]).int().argmax())
                member.diverged_at = self.step - self.pending + first + 1
            elif not all(torch.isfinite(tensor).all() for tensor in own_parameters[k].values()):
                member.diverged_at = self.step

    def states(self) -> list[dict[str, Any]]:
        """Each network's own part of a checkpoint, in the shapes it would have alone."""
        moments = {
            f"{index}.{name}": value
            for index, slots in self.optimizer.state_dict()["state"].items()
            for name, value in slots.items()
            if isinstance(value, Tensor)
        }
        model = {name: tensor.detach() for name, tensor in self.model.state_dict().items()}
        models, moments = split_state(model, len(self.members)), split_state(moments, len(self.members))
        return [
            {
                "step": self.step,
                "seconds": self.seconds,
                "rows": len(member.rows),
                "diverged_at": member.diverged_at,
                "model": models[k],
                "optimizer": moments[k],
                "losses": self.losses[: self.pending, k].clone(),
            }
            for k, member in enumerate(self.members)
        ]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Take up the states that ``states`` gave, one per network, all of the same step."""
        self.step = states[0]["step"]
        self.seconds = max(state["seconds"] for state in states)
        self.model.load_state_dict(join_states([state["model"] for state in states]))
        whole = self.optimizer.state_dict()
        whole["state"] = {}
        for key, value in join_states([state["optimizer"] for state in states]).items():
            index, name = key.split(".", 1)
            whole["state"].setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict(whole)
        self.pending = self.averaged = len(states[0]["losses"])
        for k, state in enumerate(states):
            self.losses[: self.pending, k] = state["losses"]
            self.members[k].diverged_at = state["diverged_at"]
