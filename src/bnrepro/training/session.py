"""A stack of runs that are at the same step: their networks, the loop that trains them, and their records."""

from typing import Any

import torch

from bnrepro.config.schema import Config
from bnrepro.data import load
from bnrepro.models.stacked import split_state
from bnrepro.training import build
from bnrepro.training.distributed import Replicas
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.look import Evaluator
from bnrepro.training.loop import Trainer
from bnrepro.training.progress import ProgressLines
from bnrepro.training.recorder import Recorder, SeedRun, close_mirrors
from bnrepro.training.schedule import Schedule


class Session:
    """Builds what the loop needs, and evaluates and saves when the loop asks for it.

    The runs are locked, have one configuration, and are at the same step. Of several replicas each has a session, and
    the first one keeps the record.
    """

    def __init__(
        self,
        config: Config,
        command: str,
        runs: list[SeedRun],
        data: build.Dataset,
        device: torch.device,
        replicas: Replicas,
    ):
        self.config, self.members, self.replicas = config, runs, replicas
        self.classes = load.classes(config.data)
        self.schedule = Schedule(config, len(self.classes), data.held_out)
        self.task = build.task(config, data, [run.seed for run in runs], device, replicas)
        self.probes = build.probes(config, self.task, self.schedule.probe_steps)
        self.look = Evaluator(self.task, self.probes, config.evaluation, self.schedule.prefix, replicas.mean)
        self.trainer = Trainer(
            task=self.task,
            optimizer=build.optimizer(config, self.task.model),
            members=runs,
            steps=self.schedule.steps,
            rate=build.rate(config),
            evaluation_steps=self.schedule.evaluation_steps,
            look=self._look,
            report=self._report,
            save=self._save,
            save_every=config.checkpoint_seconds,
            replicas=replicas,
        )
        if all(run.checkpoint for run in runs):
            self._restore([run.checkpoint for run in runs])
        conditions = build.conditions(config, next(self.task.model.parameters()).device)
        if conditions["threads"] > 1 or device.type != "cpu":
            conditions["stack"] = len(runs)  # only on one CPU thread are the weights the same for any stack
        self.recorders = [Recorder(config, command, run, conditions, len(runs)) for run in runs]
        others = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
        self.lines = ProgressLines(runs[0].directory.name + others, self.trainer.step)

    def _restore(self, states: list[dict[str, Any]]) -> None:
        self.trainer.restore(states)
        if self.replicas.count > 1:  # each replica has its own moving averages
            self.task.model.load_state_dict(states[0]["buffers"][self.replicas.rank], strict=False)
        for index, probe in enumerate(self.probes):
            probe.restore([state["probe"][index] for state in states])

    def train(self, stop: StopRequest) -> None:
        """Train to the end or to a stop, note each run's outcome, and only then wait for W&B."""
        exit_code = 1
        try:
            self._train(stop)
            for run, recorder in zip(self.members, self.recorders, strict=True):
                run.outcome = recorder.outcome()
            exit_code = 0 if stop.signum is None else 128 + stop.signum
        finally:
            close_mirrors(self.recorders, exit_code)

    def _train(self, stop: StopRequest) -> None:
        """Train from the checkpoint. A kill may have come between the last checkpoint and the final status."""
        step, diverged = self.trainer.step, [member.diverged_at is not None for member in self.members]
        if any(diverged):
            self._save(step)
        if all(diverged):
            return
        if self._is_last(step):
            self._look(step)
            self._save(step)
        else:
            self.trainer.train(stop)

    def _is_last(self, step: int) -> bool:
        return self.schedule.ends_at(step, [row for member in self.members for row in member.rows])

    def _look(self, step: int) -> list[dict[str, float]]:
        last = self._is_last(step)
        if last:
            self.trainer.steps = step
        return self.look(step, last)

    def _report(self, step: int) -> None:
        if self.replicas.leads and step < self.trainer.steps:
            rows = [member.rows[-1] for member in self.members if member.diverged_at is None]
            self.lines(step, self.trainer.steps, rows)

    def _save(self, step: int) -> None:
        """Save every run of the stack. Of several replicas the first one does this for all."""
        shared: dict[str, Any] = {}
        if self.replicas.count > 1:
            buffers = {name: buffer.cpu() for name, buffer in self.task.model.named_buffers()}
            shared["buffers"] = self.replicas.gather(buffers)
        if not self.replicas.leads:
            return
        states, statistics = self.trainer.states(), split_state(self.look.statistics, len(self.members))
        for k, (recorder, state) in enumerate(zip(self.recorders, states, strict=True)):
            arrays: dict[str, Any] = {}
            for probe in self.probes:
                arrays |= probe.record(k)
            if self.probes:
                state["probe"] = [probe.state(k) for probe in self.probes]
            if self.look.final:
                state |= {"statistics": statistics[k], "classes": self.classes}
            recorder.save(state | shared, arrays, self.look.final[k] if self.look.final else None)
