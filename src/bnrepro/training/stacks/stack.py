"""A stack of runs at the same step. They are trained and evaluated together, and each has its own record."""

import time
from concurrent.futures import Executor
from typing import Any

import torch
from torch import Tensor

from bnrepro.data.resident import CHUNK
from bnrepro.models.stacked_images import own_state, stack_networks, stacked_name
from bnrepro.training import build
from bnrepro.training.population import batch_norms, moving_average
from bnrepro.training.progress import ProgressLines
from bnrepro.training.recorder import Recorder
from bnrepro.training.stacks.evaluation import Values, evaluate, evaluate_by_population
from bnrepro.training.stacks.run import StackedRun
from bnrepro.training.stacks.step import StackedStep


class Stack:
    """Networks of one shape. They may differ in weights, data, rates, L2, dropout, and in their number of steps.

    Args:
        runs: Of one kind (`bnrepro.training.stacks.kinds`), locked, and at the same step.
        processors: Measure inside the networks.
    """

    def __init__(self, runs: list[StackedRun], processors: Executor):
        self.runs, self.processors = runs, processors
        self.device, self.step = runs[0].data.device, runs[0].seed_run.step()
        self.model = stack_networks([run.network for run in runs]).to(self.device).train()
        self.training = StackedStep(self.model, runs)
        self.evaluation_steps = sorted(set().union(*(run.schedule.evaluation_steps for run in runs)))
        self.probe_batches: dict[int, list] = {}  # by the id of the data set
        self._snapshot_step: int | None = None
        self.seconds = 0.0
        if all(run.seed_run.checkpoint for run in runs):
            self._restore([run.seed_run.checkpoint for run in runs])
        self.training.capture(self.step)
        conditions = build.conditions(runs[0].config, self.device) | {"stack": len(runs)}
        if self.device.type == "cpu":  # A network's bits, and what it drops out, depend on its place among the others.
            conditions["stack_of"] = [run.seed_run.directory.name for run in runs]
        for run in runs:
            run.recorder = Recorder(run.config, run.command, run.seed_run, conditions, len(runs))
        self.saved = time.monotonic()
        self.started = self.saved - self.seconds
        self.lines = ProgressLines(f"stack of {len(runs)}", self.step)
        self._save_diverged()  # A kill may have come before their status said so, or that they have ended.
        if self._ending():
            with torch.cuda.stream(self.training.stream):
                self._end(self._averaged())

    @torch.no_grad()
    def _restore(self, states: list[dict[str, Any]]) -> None:
        self.seconds = max(state["seconds"] for state in states)
        stacked, velocities = self.model.state_dict(), self.training.descent.velocities()
        for k, (run, state) in enumerate(zip(self.runs, states, strict=True)):
            run.restore(state)
            for name, of_network in state["model"].items():
                values = stacked[stacked_name(name, stacked)]
                (values if values.dim() == 0 else values[k]).copy_(of_network)
            for slot, name in run.momentum_slots(self.training.descent.parameters).items():
                if slot in state["optimizer"]:  # A run alone without momentum has none, and its velocity stays zero.
                    velocities[name][k].copy_(state["optimizer"][slot])

    def has_ended(self) -> bool:
        """Return whether all runs have ended."""
        return all(run.has_ended for run in self.runs)

    def advance(self) -> None:
        """Train to the next evaluation or the end of the chunk, whichever comes first, and evaluate there."""
        next_look = next(look for look in self.evaluation_steps if look > self.step)
        until = min(next_look, (self.step // CHUNK + 1) * CHUNK)
        with torch.cuda.stream(self.training.stream):  # without a GPU this changes nothing
            self.training.train(self.step, until)
            self.step = until
            if self.step == next_look:
                self._look()
        rows = [run.seed_run.rows[-1] for run in self.runs if not run.has_ended and run.seed_run.rows]
        self.lines(self.step, self.evaluation_steps[-1], rows)

    def _look(self) -> None:
        self._take_losses()
        self._save_diverged()
        looking = [
            (k, run)
            for k, run in enumerate(self.runs)
            if not run.has_ended and self.step in run.schedule.evaluation_steps
        ]
        averaged = self._averaged()
        for k, run in looking:
            self._measure_inside(k, run)
            run.add_row(self.step, self.seconds, averaged[k])
        if self._ending():
            self._end(averaged)
        if time.monotonic() - self.saved > self.runs[0].config.checkpoint_seconds:
            self.save()

    def _averaged(self) -> Values:
        with moving_average(self.model):
            return evaluate(self.model, self.runs)

    def _ending(self) -> list[tuple[int, StackedRun]]:
        """Return the runs whose last look is at the present step, with their places in the stack."""
        return [
            (k, run)
            for k, run in enumerate(self.runs)
            if not run.has_ended and run.schedule.ends_at(self.step, run.seed_run.rows)
        ]

    def _end(self, averaged: Values) -> None:
        """Save the results of the runs that end; ``averaged`` are those of all networks with moving averages."""
        by_population, statistics = evaluate_by_population(self.model, self.runs)
        for k, run in self._ending():
            results, names = averaged[k], []
            if batch_norms(run.network):
                results = by_population[k] | {f"{name}_moving_average": value for name, value in averaged[k].items()}
                names = [name for name in run.network.state_dict() if name in statistics]
            final = {f"{run.schedule.prefix}/{name}": value for name, value in results.items()}
            run.save(self._state(k, run) | {"statistics": own_state(statistics, k, names)}, final)

    def _take_losses(self) -> None:
        losses, parameters_finite = self.training.take_losses()
        self.seconds = time.monotonic() - self.started
        for k, run in enumerate(self.runs):
            run.add_losses(losses[:, k].clone(), parameters_finite[k], self.step)

    def _measure_inside(self, k: int, run: StackedRun) -> None:
        if self.step not in run.schedule.probe_steps or self.step in run.probe.taken:
            return
        if id(run.data) not in self.probe_batches:
            batches = run.data.fixed_batches(run.config.probe.batches, "probe")
            self.probe_batches[id(run.data)] = [batch.cpu().numpy() for batch in batches]
        run.measure(self.step, self._state(k, run)["model"], self.probe_batches[id(run.data)], self.processors)

    def _state(self, k: int, run: StackedRun) -> dict[str, Any]:
        """Return network k's part of a checkpoint, in the shapes that it would have alone."""
        if self._snapshot_step != self.step:
            self._model = _on_cpu(self.model.state_dict())
            self._velocities = _on_cpu(self.training.descent.velocities())
            self._snapshot_step = self.step
        slots = run.momentum_slots(self.training.descent.parameters)
        return {
            "step": self.step,
            "seconds": self.seconds,
            "model": own_state(self._model, k, run.network.state_dict()),
            "optimizer": {slot: self._velocities[name][k].clone() for slot, name in slots.items()},
        }

    def _save_diverged(self) -> None:
        for k, run in enumerate(self.runs):
            if not run.has_ended and run.seed_run.diverged_at is not None:
                run.save(self._state(k, run))

    def save(self) -> None:
        """Save every run that has not ended."""
        if self.has_ended():
            return
        if self.training.stream:
            self.training.stream.synchronize()
        self._take_losses()
        for k, run in enumerate(self.runs):
            if not run.has_ended:
                run.save(self._state(k, run))
        self.saved = time.monotonic()

    def close(self) -> None:
        """End the thread that draws ahead."""
        self.training.streams.close()


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.detach().cpu() for name, values in state.items()}
