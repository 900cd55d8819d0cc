"""One run's record while it trains: what is written when it begins, at every checkpoint, and when it ends."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.config.schema import Config, as_yaml
from bnrepro.records.differences import as_typed, compared, of_command
from bnrepro.records.identity import PROTOCOL, group_hash
from bnrepro.records.outcome import Outcome
from bnrepro.records.provenance import now, provenance
from bnrepro.records.run import RunDirectory
from bnrepro.tracking import mirror, mirrored
from bnrepro.training import build, checkpoint
from bnrepro.training.loop import Member


@dataclass
class SeedRun:
    """One run of a launch: its seed, its directory, its checkpoint if it has one, and how it ended once it has."""

    seed: int
    directory: RunDirectory
    checkpoint: dict[str, Any] | None = None
    outcome: Outcome | None = None

    def step(self) -> int:
        """How many steps its checkpoint has done."""
        return self.checkpoint["step"] if self.checkpoint else 0


def published_runs(config: Config) -> Path:
    """Where records of this configuration are committed."""
    return Path(config.results_dir) / config.figure / config.scale["name"] / "runs"


class Recorder:
    """Keeps the record of one run, whose rows the loop collects in ``member``, and mirrors it in W&B.

    Args:
        config: of the run.
        command: what was typed.
        seed_run: the run, locked.
        member: its network in the loop.
        conditions: what the bits of a run depend on beside its configuration.
        stacked_with: how many networks train side by side.
    """

    def __init__(
        self,
        config: Config,
        command: str,
        seed_run: SeedRun,
        member: Member,
        conditions: dict[str, Any],
        stacked_with: int,
    ):
        self.config, self.command, self.member = config, command, member
        self.directory = seed_run.directory
        self._take_up_history(seed_run.checkpoint)
        self._write_status(seed_run, conditions, stacked_with)
        logger, settings = config.logger, mirrored.settings(config, self.directory, seed_run.seed)
        self.mirror = mirror.Mirror(Path(config.runs_dir), logger.mode, logger.timeout_seconds, **settings)

    def _take_up_history(self, state: dict[str, Any] | None) -> None:
        """Cut the history to the rows that the checkpoint covers, and give them to the loop."""
        rows = self.directory.cut_history(state["rows"] if state else 0)
        self.member.rows = [{name: float(value) for name, value in row.items()} for row in rows]
        self.rows_written = len(rows)

    def _write_status(self, seed_run: SeedRun, conditions: dict[str, Any], stacked_with: int) -> None:
        """Write what is known before the first step of this process."""
        config, directory, state = self.config, self.directory, seed_run.checkpoint
        if not (directory.path / "config.yaml").exists():
            directory.write_config(as_yaml(config, seed_run.seed))
        (directory.path / "traceback.txt").unlink(missing_ok=True)
        before = directory.status()
        wandb_id = before.get("wandb_id", f"{directory.name}-{os.urandom(3).hex()}")
        exact, resumed = True, []
        if state:
            as_before = before.get("conditions") == conditions and conditions["device"] == "cpu"
            exact = before.get("exact_resume", True) and as_before
            resumed = [*before.get("resumed", []), state["step"]]
        if not exact:
            print(f"{directory.name}: resumed on a GPU or under other conditions; not bit for bit the same run")
        fingerprint = build.data_fingerprint(config)
        directory.update(
            **provenance(),
            command=self.command,
            name=directory.name,
            variant=config.variant,
            experiment=config.experiment,
            seed=seed_run.seed,
            group=f"{config.variant}-{group_hash(config, fingerprint)}",
            protocol=PROTOCOL,
            data_fingerprint=fingerprint,
            conditions=conditions,
            exact_resume=exact,
            stacked_with=stacked_with,
            state="running",
            error=None,
            pid=os.getpid(),
            step=seed_run.step(),
            steps=config.training.total_steps,
            started=before.get("started", now()) if state else now(),
            resumed=resumed,
            wandb_id=wandb_id,
        )

    def save(self, state: dict[str, Any], probes: dict[str, np.ndarray], ending: dict[str, Any]) -> None:
        """Make rows, checkpoint, probes and status durable, in this order, then hand the rows to W&B.

        Args:
            state: of the checkpoint.
            probes: the arrays of probes.npz.
            ending: what status.json says of the end of a run that has come to it.
        """
        if self.directory.ended():
            return
        self.directory.append_rows(self.member.rows[self.rows_written :])
        self.rows_written = len(self.member.rows)
        own = {"run": self.directory.name, "files": self.directory.digests()}
        checkpoint.save(self.directory.checkpoint, state | own)
        if probes:
            self.directory.write_probes(probes)
        self.directory.update(step=state["step"], seconds=round(state["seconds"], 2), **ending)
        self.mirror.sync(mirrored.rows(self.member.rows, probes))

    def outcome(self) -> Outcome:
        """How the run ended; a complete record is published if it is to be."""
        name, status = self.directory.name, self.directory.status()
        if not self.directory.ended():
            self.directory.update(state="interrupted")
            message = f"interrupted at step {status['step']:,} and saved; run the same command to go on"
            return Outcome(name, "interrupted", f"{name}: {message}")
        likeness = compared(self.directory.path, published_runs(self.config) / name)
        record = self.directory.publish(published_runs(self.config)) if self.config.publish else self.directory.path
        if status["state"] == "diverged":
            message = f"diverged at step {status['diverged_at']:,}"
        else:
            top1 = next(value for key, value in status["final"].items() if key.endswith("/top1"))
            message = f"finished, top-1 {top1:.4f}, {status['seconds']:.0f} s"
        choices = {key: v for key, v in of_command(self.command).items() if key not in ("experiment", "scale")}
        message += f" with {as_typed(choices.items())}" if choices else ""
        message += f"; record in {record}" + (f"; {likeness}" if likeness else "")
        return Outcome(name, status["state"], f"{name}: {message}")
