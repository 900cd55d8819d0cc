"""The training loop. It trains S networks side by side, evaluates them on a schedule, and has them saved."""

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

Row = dict[str, Any]  # one row of metrics.csv, by column


@dataclass
class Member:
    """One network of the stack."""

    seed: int
    rows: list[Row] = field(default_factory=list, kw_only=True)  # its evaluations so far
    diverged_at: int | None = field(default=None, kw_only=True)  # the step at which it diverged, which `check` finds

    def check(self, losses: Tensor, parameters_finite: bool, step: int) -> None:
        """Note whether the network has diverged by ``step``; ``losses`` (n,) are those of the last n steps.

        It diverges at the first step with a non-finite loss, or at a look that finds non-finite parameters before any
        such loss. A save between looks passes ``parameters_finite`` as true: when it comes must not change the record.
        """
        if self.diverged_at is not None:
            return
        bad = ~torch.isfinite(losses)
        if bad.any():
            self.diverged_at = step - len(losses) + int(bad.int().argmax()) + 1
        elif not parameters_finite:
            self.diverged_at = step


def make_row(step: int, epoch: float, seconds: float, lr: float, train_loss: float, values: dict[str, float]) -> Row:
    """Return a row of metrics.csv; measured values keep six digits."""
    measured = {"train/loss": train_loss} | values
    row = {"step": step, "epoch": round(epoch, 4), "seconds": round(seconds, 2), "lr": lr}
    return row | {name: float(f"{value:.6g}") for name, value in measured.items()}


@dataclass
class Trainer:
    """The loop with everything that it works on.

    Args:
        task: The networks and what they are trained on (`bnrepro.training.tasks`).
        optimizer: Steps all S networks. The loss is a sum over networks, so their gradients never mix.
        members: The S networks.
        steps: The number of steps of the run. A look may lower it to its own step, and so end the run.
        rate: Gives the learning rate of a step, counted from 0.
        evaluation_steps: The steps after which ``look(step)`` evaluates. It returns each network's values by column.
        report: Called after each look, to show progress.
        save: Called with the number of steps done whenever the state must become durable.
        save_every: Seconds between such calls.
        replicas: If there are several, each has its own batches, and they stop, save and diverge together.
    """

    task: Any
    optimizer: torch.optim.Optimizer
    members: list[Member]
    steps: int
    rate: Callable[[int], float]
    evaluation_steps: set[int]
    look: Callable[[int], list[dict[str, float]]]
    report: Callable[[int], None] = lambda done: None
    save: Callable[[int], None] = lambda done: None
    save_every: float = float("inf")
    replicas: Replicas = ALONE
    step: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.model = self.task.model
        device = next(self.model.parameters()).device
        # The losses since the last row are fetched only at a look or a save, so that the loop itself never waits.
        longest = max(b - a for a, b in pairwise([0, *sorted(self.evaluation_steps)]))
        self.losses = torch.zeros(longest + 1, len(self.members), device=device)
        self.pending = 0  # the number of losses since the last row

    def train(self, stop: StopRequest) -> None:
        """Train until the last step, until every network has diverged, or until asked to stop."""
        seeds = [member.seed for member in self.members]
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        self.model.train()
        while self.step < self.steps:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(self.step)
            self.task.prepare(seeds, self.step)
            loss = self.task.loss(*self.task.batch(seeds, self.step))
            loss.sum().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.losses[self.pending] = self.replicas.mean(loss.detach())
            self.pending += 1
            self.step += 1

            looking = self.step in self.evaluation_steps
            overdue = time.monotonic() - saved > self.save_every
            stopping, overdue = self.replicas.agree(self.step, stop.signum is not None, overdue)
            if not (looking or stopping or overdue or self.step == self.steps):
                continue
            self.seconds = time.monotonic() - started
            self._find_divergence(at_look=looking or self.step == self.steps)
            all_diverged = all(member.diverged_at is not None for member in self.members)
            if looking and not all_diverged:
                self._add_rows(self.look(self.step))
                self.report(self.step)
            if stopping or overdue or all_diverged or self.step == self.steps:
                self.save(self.step)
                saved = time.monotonic()
            if stopping or all_diverged:
                return

    def _find_divergence(self, at_look: bool) -> None:
        """Note which networks have diverged, at a look (or the last step) or at a save between looks."""
        losses, stack = self.losses[: self.pending].cpu(), len(self.members)
        finite = [torch.isfinite(parameter).reshape(stack, -1).all(1) for parameter in self.model.parameters()]
        for k, parameters_finite in enumerate(torch.stack(finite).all(0).tolist()):
            self.members[k].check(losses[:, k], parameters_finite or not at_look, self.step)

    def _add_rows(self, values: list[dict[str, float]]) -> None:
        train_losses = self.losses[: self.pending].mean(0).tolist()
        self.pending = 0
        epoch, lr = self.step / self.task.steps_per_epoch, self.optimizer.param_groups[0]["lr"]
        for member, train_loss, columns in zip(self.members, train_losses, values, strict=True):
            if member.diverged_at is None:
                member.rows.append(make_row(self.step, epoch, self.seconds, lr, train_loss, columns))

    def states(self) -> list[dict[str, Any]]:
        """Return each network's own part of a checkpoint, in the shapes that it would have alone."""
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
        """Restore what ``states`` gave, one state per network, all of the same step."""
        self.step = states[0]["step"]
        self.seconds = max(state["seconds"] for state in states)
        self.model.load_state_dict(join_states([state["model"] for state in states]))
        optimizer = self.optimizer.state_dict() | {"state": {}}
        for key, value in join_states([state["optimizer"] for state in states]).items():
            index, name = key.split(".", 1)
            optimizer["state"].setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict(optimizer)
        self.pending = len(states[0]["losses"])
        for k, state in enumerate(states):
            self.losses[: self.pending, k] = state["losses"]
            self.members[k].diverged_at = state["diverged_at"]
