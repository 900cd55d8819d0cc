"""One run's record while it trains: what is written when it begins, at every checkpoint, and when it ends."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnrepro.config.schema import Config, as_yaml
from bnrepro.data import load
from bnrepro.records.files import write_atomically, write_text
from bnrepro.records.identity import PROTOCOL, group_hash
from bnrepro.records.outcome import Outcome
from bnrepro.records.provenance import now, provenance, varied
from bnrepro.records.run import RunDirectory
from bnrepro.tracking import mirror, mirrored
from bnrepro.training import checkpoint
from bnrepro.training.loop import Member


@dataclass
class SeedRun(Member):
    """One run of a launch."""

    directory: RunDirectory
    checkpoint: dict[str, Any] | None = None  # what it resumes from, if it has trained before
    outcome: Outcome | None = None  # how it ended, once it has

    def step(self) -> int:
        """Return the number of steps at its checkpoint."""
        return self.checkpoint["step"] if self.checkpoint else 0


def published_runs(config: Config) -> Path:
    """Return the folder in which records of this configuration are committed."""
    return Path(config.results_dir) / config.figure / config.scale["name"] / "runs"


class Recorder:
    """Keeps the record of one run, whose rows the loop collects, and mirrors it in W&B.

    The run is locked. ``conditions`` are what its bits depend on beside its configuration, and ``stacked_with`` is the
    number of networks that train side by side.
    """

    def __init__(self, config: Config, command: str, run: SeedRun, conditions: dict[str, Any], stacked_with: int):
        self.config, self.command, self.run, self.directory = config, command, run, run.directory
        self.rows_written = len(run.rows)
        self._write_first_status(conditions, stacked_with)
        logger, settings = config.logger, mirrored.settings(config, self.directory, run.seed)
        self.mirror = mirror.Mirror(Path(config.runs_dir), logger.mode, logger.timeout_seconds, **settings)

    def _write_first_status(self, conditions: dict[str, Any], stacked_with: int) -> None:
        """Write what is known before the first step of this process."""
        config, run, directory = self.config, self.run, self.directory
        if not (directory.path / "config.yaml").exists():
            write_text(directory.path / "config.yaml", as_yaml(config, run.seed))
        (directory.path / "traceback.txt").unlink(missing_ok=True)
        before = directory.status()
        exact, started, resumed = True, now(), []
        if run.checkpoint:
            same_conditions = before.get("conditions") == conditions and conditions["device"] == "cpu"
            exact = before.get("exact_resume", True) and same_conditions
            started, resumed = before.get("started", started), [*before.get("resumed", []), run.step()]
        if not exact:
            print(f"{directory.name}: resumed on a GPU or under other conditions; not bit for bit the same run")
        fingerprint = load.fingerprint(config.data)
        directory.update(
            **provenance(),
            command=self.command,
            name=directory.name,
            variant=config.variant,
            experiment=config.experiment,
            seed=run.seed,
            group=f"{config.variant}-{group_hash(config, fingerprint)}",
            protocol=PROTOCOL,
            data_fingerprint=fingerprint,
            conditions=conditions,
            exact_resume=exact,
            stacked_with=stacked_with,
            state="running",
            error=None,
            pid=os.getpid(),
            step=run.step(),
            steps=config.training.total_steps,
            started=started,
            resumed=resumed,
            wandb_id=before.get("wandb_id", f"{directory.name}-{os.urandom(3).hex()}"),
        )

    def save(self, state: dict[str, Any], probes: dict[str, np.ndarray], final: dict[str, float] | None) -> None:
        """Make rows, checkpoint, probes and status durable, in this order. Then hand the rows to W&B.

        ``state`` is what the checkpoint holds, and ``final`` has the results if the run has finished.
        """
        run, directory = self.run, self.directory
        if directory.ended():
            return
        directory.append_rows(run.rows[self.rows_written :])
        self.rows_written = len(run.rows)
        checkpoint.save(directory.checkpoint, state | {"run": directory.name, "files": directory.digests()})
        if probes:
            write_atomically(directory.path / "probes.npz", lambda file: np.savez_compressed(file, **probes))
        ending: dict[str, Any] = {}
        if run.diverged_at is not None:
            ending = {"state": "diverged", "diverged_at": run.diverged_at, "ended": now()}
        elif final:
            ending = {"state": "finished", "final": final, "ended": now()}
            if state["step"] < self.config.training.total_steps:
                ending["stopped"] = "at chance"
        directory.update(step=state["step"], seconds=round(state["seconds"], 2), **ending)
        self.mirror.sync(mirrored.rows(run.rows, probes))

    def outcome(self) -> Outcome:
        """Return how the run ended. A complete record is published if the configuration asks for it."""
        name, status = self.directory.name, self.directory.status()
        if not self.directory.ended():
            self.directory.update(state="interrupted")
            message = f"interrupted at step {status['step']:,} and saved; run the same command to go on"
            return Outcome(name, "interrupted", f"{name}: {message}")
        record = self.directory.publish(published_runs(self.config)) if self.config.publish else self.directory.path
        if status["state"] == "diverged":
            message = f"diverged at step {status['diverged_at']:,}"
        else:
            top1 = next(value for key, value in status["final"].items() if key.endswith("/top1"))
            message = f"finished, top-1 {top1:.4f}, {status['seconds']:.0f} s"
        if overrides := varied(self.command):
            message += f" with {overrides}"
        return Outcome(name, status["state"], f"{name}: {message}; record in {record}")

    def close(self, exit_code: int) -> None:
        """Tell W&B that no more rows will come, and how the run ended. This does not wait."""
        self.mirror.close(mirrored.end(self.directory, exit_code))


def close_mirrors(recorders: list[Recorder], exit_code: int) -> None:
    """Tell W&B how these runs ended, and wait for it with one deadline for all.

    Runs that were asked to stop do not wait long.
    """
    for recorder in recorders:
        recorder.close(exit_code)
    patience = max((recorder.config.logger.timeout_seconds for recorder in recorders), default=0.0)
    deadline = time.monotonic() + (patience if exit_code == 0 else min(2.0, patience))
    for recorder in recorders:
        if complaint := recorder.mirror.wait_until(deadline):
            print(f"{recorder.directory.name}: {complaint}; the record is complete")
