"""A stack of runs that stand at the same step, and their records while they train."""

import os
import time
from pathlib import Path
from typing import Any

import torch

from bnrepro.config.schema import Config, as_yaml
from bnrepro.data import load
from bnrepro.models.stacked import split_state
from bnrepro.records.committed import compared
from bnrepro.records.identity import PROTOCOL, group_hash
from bnrepro.records.outcome import Outcome, chance_bound
from bnrepro.records.provenance import now, provenance
from bnrepro.records.run import RunDirectory
from bnrepro.records.varied import in_words, of_command
from bnrepro.tracking import mirror, mirror_rows, mirrored, wandb_setup
from bnrepro.training import build, checkpoint
from bnrepro.training.distributed import Replicas
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.look import Look
from bnrepro.training.loop import Member, Trainer
from bnrepro.training.progress import StepProgress
from bnrepro.training.schedule import milestones

Begun = tuple[int, RunDirectory, dict[str, Any] | None]  # a run that is to be trained: seed, directory, checkpoint


def published_runs(config: Config) -> Path:
    """Where records of this configuration are committed."""
    return Path(config.results_dir) / config.figure / config.scale["name"] / "runs"


class Session:
    """What the loop calls back to look, to save and to finish.

    Args:
        config: of all the runs.
        command: what was typed, for the record.
        runs: seed, locked directory and checkpoint (or None) of each; all of the same step.
        data: what `build.dataset` gives.
        on: the device.
        replicas: with several, this is one replica's session, and the first one's directories are the record.
    """

    def __init__(
        self,
        config: Config,
        command: str,
        runs: list[Begun],
        data: build.Dataset,
        on: torch.device,
        replicas: Replicas,
    ):
        self.config, self.command, self.replicas = config, command, replicas
        self.directories = [directory for _, directory, _ in runs]
        self.members = [Member(seed) for seed, _, _ in runs]
        seeds = [member.seed for member in self.members]
        self.task = build.task(config, data, seeds, on, replicas)
        self.model = self.task.model
        total = config.training.total_steps
        wanted, probing = config.evaluation, config.probe.name != "none" or config.probe.instruments
        looks = set(milestones(total, wanted.every, wanted.log_points_per_decade))
        probe_steps = milestones(total, config.probe.every, config.probe.log_points_per_decade) if probing else []
        self.probe = build.probe(config, self.task, probe_steps)
        prefix = "tune" if config.data.split == "tune" else "val"
        self.look = Look(self.task, self.probe, wanted, prefix, lambda: self.trainer.steps, replicas.mean)
        self.trainer = Trainer(
            task=self.task,
            optimizer=build.optimizer(config, self.model),
            members=self.members,
            steps=total,
            rate=build.rate(config),
            looks=looks | set(probe_steps),
            look=self.look,
            save=self._save,
            save_every=config.checkpoint_seconds,
            gives_up=self._gives_up,
            replicas=replicas,
        )
        self.written = [0] * len(runs)
        self.held_out = data.held_out
        self.classes = load.classes(config.data)
        self._begin([state for _, _, state in runs])
        mode = wandb_setup.resolve_mode(config.logger.mode)
        patience = config.logger.timeout_seconds
        self.mirrors = [
            mirror.Mirror(Path(config.runs_dir), mode, patience, **mirrored.settings(config, directory, seed))
            for directory, seed in zip(self.directories, seeds, strict=True)
        ]

    def _begin(self, states: list[dict[str, Any] | None]) -> None:
        """Take up the checkpoints, cut the histories to them, and write what is known before the first step."""
        conditions = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": str(next(self.model.parameters()).device),
        }
        if self.config.training.compile != "none":
            conditions["compile"] = self.config.training.compile
        if conditions["threads"] > 1 or conditions["device"] != "cpu":
            conditions["stack"] = len(self.members)  # only on one CPU thread are the bits the same for any stack
        if all(states):
            self.trainer.restore(states)
            if self.replicas.count > 1:
                self.model.load_state_dict(states[0]["buffers"][self.replicas.rank], strict=False)
            if self.probe:
                self.probe.restore([state["probe"] for state in states])
        for k, (directory, member, state) in enumerate(zip(self.directories, self.members, states, strict=True)):
            kept = directory.cut_history(state["rows"] if state else 0)
            member.rows = [{name: float(value) for name, value in row.items()} for row in kept]
            self.written[k] = len(member.rows)
            if not (directory.path / "config.yaml").exists():
                directory.write_config(as_yaml(self.config, member.seed))
            before = directory.status() if state else {}
            (directory.path / "traceback.txt").unlink(missing_ok=True)
            same = state is None or (before.get("conditions") == conditions and conditions["device"] == "cpu")
            exact = before.get("exact_resume", True) and same
            if not exact:
                print(f"{directory.name}: resumed on a GPU or under other conditions; not bit for bit the same run")
            directory.update(
                **provenance(),
                command=self.command,
                name=directory.name,
                variant=self.config.variant,
                experiment=self.config.experiment,
                seed=member.seed,
                group=f"{self.config.variant}-{group_hash(self.config, build.data_fingerprint(self.config))}",
                protocol=PROTOCOL,
                data_fingerprint=build.data_fingerprint(self.config),
                conditions=conditions,
                exact_resume=exact,
                stacked_with=len(self.members),
                state="running",
                error=None,
                pid=os.getpid(),
                step=self.trainer.step,
                steps=self.config.training.total_steps,
                started=before.get("started", now()),
                resumed=before.get("resumed", []) + ([self.trainer.step] if state else []),
                wandb_id=directory.status().get("wandb_id", f"{directory.name}-{os.urandom(3).hex()}"),
            )

    def _gives_up(self, step: int) -> bool:
        """Whether every evaluation before this one, the first after ``training.stop_at_chance``, was at chance."""
        share, bound = self.config.training.stop_at_chance, chance_bound(len(self.classes), self.held_out)
        first = min(look for look in self.trainer.looks if look >= share * self.config.training.total_steps)
        if not share or step != first:
            return False
        accuracies = [row[f"{self.look.prefix}/top1"] for m in self.members for row in m.rows if row["step"] < step]
        return all(accuracy < bound for accuracy in accuracies)

    def _save(self, step: int) -> None:
        """Make rows, checkpoint, probes and status durable, in this order, then tell W&B.

        Of several replicas the first one does so for all; their moving averages are their own, and it keeps them too.
        """
        alone = self.replicas.count == 1
        buffers = None if alone else self.replicas.gather({n: b.cpu() for n, b in self.model.named_buffers()})
        if not self.replicas.leads:
            return
        statistics = split_state(self.look.statistics, len(self.members))
        for k, (directory, member, state) in enumerate(
            zip(self.directories, self.members, self.trainer.states(), strict=True)
        ):
            if directory.ended():
                continue
            directory.append_rows(member.rows[self.written[k] :])
            self.written[k] = len(member.rows)
            if self.probe:
                state["probe"] = self.probe.state(k)
            if buffers:
                state["buffers"] = buffers
            if step == self.trainer.steps:
                state |= {"statistics": statistics[k], "classes": self.classes}
            checkpoint.save(directory.checkpoint, state | {"run": directory.name})
            record = self.probe.record(k) if self.probe else {}
            if record:
                directory.write_probes(record)
            changes: dict[str, Any] = {"step": step, "seconds": round(self.trainer.seconds, 2)}
            if member.diverged_at is not None:
                changes |= {"state": "diverged", "diverged_at": member.diverged_at, "ended": now()}
            elif step == self.trainer.steps:
                if step < self.config.training.total_steps:
                    changes["stopped"] = "at chance"
                changes |= {"state": "finished", "final": self.look.final[k], "ended": now()}
            directory.update(**changes)
            self.mirrors[k].sync(mirror_rows.rows(member.rows, record))

    def train(self, stop: StopRequest) -> dict[str, Outcome]:
        """Train to the end or to a stop, say how each run ended, publish, and only then wait for W&B."""
        title = self.directories[0].name + (f" and {len(self.members) - 1} more" if len(self.members) > 1 else "")
        code = 1
        try:
            steps, leads = (self.trainer.steps, self.trainer.step), self.replicas.leads
            with StepProgress(title, *steps, shown=leads, latest=self._latest_rows) as progress:
                self.trainer.tick = progress.tick
                self.trainer.train(stop)
            outcomes = {directory.name: self._outcome(k) for k, directory in enumerate(self.directories)}
            code = 0 if stop.signum is None else 128 + stop.signum
        finally:
            self._close_mirrors(code)
        return outcomes

    def _latest_rows(self) -> list[dict[str, Any]]:
        """The latest evaluation of each network that has not diverged."""
        return [member.rows[-1] for member in self.members if member.rows and member.diverged_at is None]

    def _close_mirrors(self, code: int) -> None:
        """Close all, then wait for all against one deadline; a run that was asked to stop does not wait long."""
        for directory, follower in zip(self.directories, self.mirrors, strict=True):
            follower.close(mirrored.end(directory, code))
        patience = self.config.logger.timeout_seconds if code == 0 else min(2.0, self.config.logger.timeout_seconds)
        until = time.monotonic() + patience
        for directory, follower in zip(self.directories, self.mirrors, strict=True):
            if not follower.wait(until):
                print(f"{directory.name}: W&B has not taken all of it; the record is complete")
            elif follower.error:
                print(f"{directory.name}: not in W&B ({follower.error}); the record is complete")

    def _outcome(self, k: int) -> Outcome:
        directory, member = self.directories[k], self.members[k]
        if not directory.ended():
            directory.update(state="interrupted")
            text = f"interrupted at step {self.trainer.step:,} and saved; run the same command to go on"
            return Outcome(directory.name, "interrupted", f"{directory.name}: {text}")
        likeness = compared(directory.path, published_runs(self.config) / directory.name)
        place = directory.publish(published_runs(self.config)) if self.config.publish else directory.path
        choices = {k: v for k, v in of_command(self.command).items() if k not in ("experiment", "scale")}
        where = (f" with {in_words(choices)}" if choices else "") + f"; record in {place}"
        where += f"; {likeness}" if likeness else ""
        if member.diverged_at is not None:
            text = f"{directory.name}: diverged at step {member.diverged_at:,}{where}"
            return Outcome(directory.name, "diverged", text)
        top1 = next(value for name, value in self.look.final[k].items() if name.endswith("/top1"))
        text = f"{directory.name}: finished, top-1 {top1:.4f}, {self.trainer.seconds:.0f} s{where}"
        return Outcome(directory.name, "finished", text)
