"""A stack of runs that stand at the same step: their networks, the loop that trains them, and their records."""

import time
from typing import Any

import torch

from bnrepro.config.schema import Config
from bnrepro.data import load
from bnrepro.models.stacked import split_state
from bnrepro.records.outcome import chance_bound
from bnrepro.records.provenance import now
from bnrepro.tracking import mirrored
from bnrepro.training import build
from bnrepro.training.distributed import Replicas
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.look import Look
from bnrepro.training.loop import Member, Trainer
from bnrepro.training.progress import StepProgress
from bnrepro.training.recorder import Recorder, SeedRun
from bnrepro.training.schedule import milestones


class Session:
    """Builds what the loop needs, and is what the loop calls back to save.

    Args:
        config: of all the runs.
        command: what was typed, for the record.
        seed_runs: the runs, locked, all at the same step.
        data: what `build.dataset` gives.
        device: to train on.
        replicas: with several, this is one replica's session, and the first one's directories are the record.
    """

    def __init__(
        self,
        config: Config,
        command: str,
        seed_runs: list[SeedRun],
        data: build.Dataset,
        device: torch.device,
        replicas: Replicas,
    ):
        self.config, self.seed_runs, self.replicas = config, seed_runs, replicas
        self.members = [Member(seed_run.seed) for seed_run in seed_runs]
        self.classes = load.classes(config.data)
        self.chance = chance_bound(len(self.classes), data.held_out)
        self.task = build.task(config, data, [member.seed for member in self.members], device, replicas)
        total, evaluation, probe = config.training.total_steps, config.evaluation, config.probe
        probe_steps = []
        if probe.name != "none" or probe.instruments:
            probe_steps = milestones(total, probe.every, probe.log_points_per_decade)
        self.probe = build.probe(config, self.task, probe_steps)
        prefix = "tune" if config.data.split == "tune" else "val"
        self.look = Look(self.task, self.probe, evaluation, prefix, lambda: self.trainer.steps, replicas.mean)
        self.trainer = Trainer(
            task=self.task,
            optimizer=build.optimizer(config, self.task.model),
            members=self.members,
            steps=total,
            rate=build.rate(config),
            looks={*milestones(total, evaluation.every, evaluation.log_points_per_decade), *probe_steps},
            look=self.look,
            save=self._save,
            save_every=config.checkpoint_seconds,
            gives_up=self._gives_up,
            replicas=replicas,
        )
        self._restore([seed_run.checkpoint for seed_run in seed_runs])
        conditions = self._conditions()
        self.recorders = [
            Recorder(config, command, seed_run, member, conditions, len(seed_runs))
            for seed_run, member in zip(seed_runs, self.members, strict=True)
        ]

    def _restore(self, states: list[dict[str, Any] | None]) -> None:
        """Take up the checkpoints, of which all runs of a stack have one, or none has."""
        if not all(states):
            return
        self.trainer.restore(states)
        if self.replicas.count > 1:
            self.task.model.load_state_dict(states[0]["buffers"][self.replicas.rank], strict=False)
        if self.probe:
            self.probe.restore([state["probe"] for state in states])

    def _conditions(self) -> dict[str, Any]:
        """What the bits of a run depend on beside its configuration."""
        device = next(self.task.model.parameters()).device
        conditions = build.conditions(device)
        if self.config.training.compile != "none":
            conditions["compile"] = self.config.training.compile
        if conditions["threads"] > 1 or device.type != "cpu":
            conditions["stack"] = len(self.members)  # only on one CPU thread are weights the same for any stack
        return conditions

    def _gives_up(self, step: int) -> bool:
        """Whether every evaluation before this one, the first after ``training.stop_at_chance``, was at chance."""
        share = self.config.training.stop_at_chance
        after_share = [look for look in self.trainer.looks if look >= share * self.config.training.total_steps]
        if not share or step != min(after_share):
            return False
        earlier = [row for member in self.members for row in member.rows if row["step"] < step]
        return all(row[f"{self.look.prefix}/top1"] < self.chance for row in earlier)

    def _save(self, step: int) -> None:
        """Save every run of the stack.

        Of several replicas the first one does so for all; their moving averages are their own, and it keeps them too.
        """
        shared: dict[str, Any] = {}
        if self.replicas.count > 1:
            own = {name: buffer.cpu() for name, buffer in self.task.model.named_buffers()}
            shared["buffers"] = self.replicas.gather(own)
        if not self.replicas.leads:
            return
        states, statistics = self.trainer.states(), split_state(self.look.statistics, len(self.members))
        for k, (recorder, state) in enumerate(zip(self.recorders, states, strict=True)):
            if self.probe:
                state["probe"] = self.probe.state(k)
            if step == self.trainer.steps:
                state |= {"statistics": statistics[k], "classes": self.classes}
            probes = self.probe.record(k) if self.probe else {}
            recorder.save(state | shared, probes, self._ending(k, step))

    def _ending(self, k: int, step: int) -> dict[str, Any]:
        """What network k's status says once its run has ended, and nothing before."""
        diverged_at = self.members[k].diverged_at
        if diverged_at is not None:
            return {"state": "diverged", "diverged_at": diverged_at, "ended": now()}
        if step < self.trainer.steps:
            return {}
        ending = {"state": "finished", "final": self.look.final[k], "ended": now()}
        return ending | ({"stopped": "at chance"} if step < self.config.training.total_steps else {})

    def train(self, stop: StopRequest) -> None:
        """Train to the end or to a stop, note each run's outcome, and only then wait for W&B."""
        others = len(self.seed_runs) - 1
        title = self.seed_runs[0].directory.name + (f" and {others} more" if others else "")
        trainer, exit_code = self.trainer, 1
        try:
            with StepProgress(title, trainer.steps, trainer.step, self.replicas.leads, self._latest_rows) as progress:
                trainer.tick = progress.tick
                if any(member.diverged_at is not None for member in self.members):
                    self._save(trainer.step)  # killed between a checkpoint that has diverged and the word of it
                trainer.train(stop)
            for seed_run, recorder in zip(self.seed_runs, self.recorders, strict=True):
                seed_run.outcome = recorder.outcome()
            exit_code = 0 if stop.signum is None else 128 + stop.signum
        finally:
            self._close_mirrors(exit_code)

    def _latest_rows(self) -> list[dict[str, Any]]:
        """The latest evaluation of each network that has not diverged."""
        return [member.rows[-1] for member in self.members if member.rows and member.diverged_at is None]

    def _close_mirrors(self, exit_code: int) -> None:
        """Close all, then wait for all against one deadline; a run that was asked to stop does not wait long."""
        for recorder in self.recorders:
            recorder.mirror.close(mirrored.end(recorder.directory, exit_code))
        patience = self.config.logger.timeout_seconds
        deadline = time.monotonic() + (patience if exit_code == 0 else min(2.0, patience))
        for recorder in self.recorders:
            if complaint := recorder.mirror.complaint(deadline):
                print(f"{recorder.directory.name}: {complaint}; the record is complete")
