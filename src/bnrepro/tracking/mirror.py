"""The mirror of a run in W&B: it follows the record from a thread of its own and is never waited for.

Rows reach W&B only once a checkpoint covers them, each with its own step, so that a run that was killed and resumed
shows no gap and no repeat: the part of an offline run that a resumed process writes begins after the last step of the
parts before it. (`wandb sync` sends the parts in order, and moves the steps of one that begins too early.) Whatever
happens to W&B, the run goes on and its record is complete.
"""

import glob
import queue
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from bnrepro.tracking.wandb_log import last_step
from bnrepro.tracking.wandb_setup import keep_out_of_home

BEST = {  # what W&B's summary has of a metric beside its last value, as best/<metric>
    "val/loss": min,
    "val/top1": max,
    "val/top5": max,
    "tune/loss": min,
    "tune/top1": max,
    "tune/top5": max,
}

_starting = threading.Lock()  # runs stacked in one program start one by one
_unreachable = False  # once W&B could not be reached, this process does not try again


class End(NamedTuple):
    """How a run ended.

    Args:
        exit_code: of the process, for W&B.
        summary: what W&B's summary is to say of the run.
        artifacts: files to keep with the run, by name and type of the artifact.
        copied: whether offline these files are copied; where they are not, they must not change.
    """

    exit_code: int
    summary: dict[str, Any] = {}  # noqa: RUF012
    artifacts: dict[tuple[str, str], list[Path]] = {}  # noqa: RUF012
    copied: bool = False


class Mirror:
    """One W&B run.

    Args:
        runs_dir: offline runs are kept in ``<runs_dir>/wandb``.
        mode: online, offline or disabled.
        timeout: seconds for W&B to connect, after which the run is logged offline, and at the end to take the rest.
        **settings: what ``wandb.init`` takes: id, name, project, entity, group, job_type, tags, notes, config.
    """

    def __init__(self, runs_dir: Path, mode: str, timeout: float, **settings: Any):
        self.error: str | None = None
        self._sent = -1
        self._rows: queue.SimpleQueue[list[tuple[int, dict[str, Any]]] | End] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._follow, args=(runs_dir, mode, timeout, settings), daemon=True)
        if mode != "disabled":
            keep_out_of_home(runs_dir)
            self._thread.start()

    def sync(self, rows: list[tuple[int, dict[str, Any]]]) -> None:
        """Hand over rows that have become durable; those handed over before are left out."""
        new = [row for row in rows if row[0] > self._sent]
        if new:
            self._sent = new[-1][0]
            self._rows.put(new)

    def close(self, end: End) -> None:
        """Say that no more rows will come, and how the run ended; does not wait."""
        self._rows.put(end)

    def wait(self, until: float) -> bool:
        """Wait for W&B to take the rest, until `time.monotonic` says ``until``; False when it has not by then."""
        if self._thread.ident is None:
            return True
        self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()

    def _follow(self, runs_dir: Path, mode: str, timeout: float, settings: dict[str, Any]) -> None:
        try:
            run = _start(runs_dir, mode, timeout, settings)
            first, best = first_step(run), {}
            while not isinstance(item := self._rows.get(), End):
                for step, values in item:
                    for metric in BEST.keys() & values.keys():
                        seen = best.get(f"best/{metric}", values[metric])
                        best[f"best/{metric}"] = BEST[metric](seen, values[metric])
                    if step >= first:
                        run.log(values, step=step, commit=True)
                run.summary.update(best)  # over all rows; W&B itself knows only those since the last resume
            run.summary.update(item.summary)
            for (name, kind), files in item.artifacts.items():
                _log_artifact(run, name, kind, files, item.copied)
            run.finish(exit_code=item.exit_code)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}".splitlines()[0]


def first_step(run: Any) -> int:
    """The first step that is not in another part of this run.

    Offline, that is after the parts on disk. Online W&B says it; parts that were never pushed are then renamed, as all
    of their rows are sent now.
    """
    here = Path(run.dir).parent
    parts = [p for p in here.parent.glob(f"*run-????????_??????-{glob.escape(run.id)}") if p != here]
    logs = [log for part in parts if part.name.startswith(("run-", "offline-run-")) for log in part.glob("*.wandb")]
    if run.offline:
        return max([run.step, *(last_step(log) + 1 for log in logs)])
    for log in logs:
        if log.parent.name.startswith("offline-") and not log.with_name(f"{log.name}.synced").exists():
            log.parent.rename(log.parent.with_name(f"superseded-{log.parent.name}"))
    return run.step


def _log_artifact(run: Any, name: str, kind: str, files: list[Path], copied: bool) -> None:
    import wandb

    artifact = wandb.Artifact(name, type=kind)
    for path in files:
        artifact.add_file(str(path.resolve()), policy="mutable" if copied else "immutable", skip_cache=True)
    run.log_artifact(artifact)


def _start(runs_dir: Path, mode: str, timeout: float, settings: dict[str, Any]) -> Any:
    root = runs_dir.resolve()
    import wandb
    from wandb.errors import CommError, UsageError

    def start(mode: str) -> Any:
        options = wandb.Settings(
            init_timeout=timeout,
            finish_timeout=timeout,
            console="off",
            silent=True,
            x_transaction_log_flush_interval=1.0,  # by default rows of the last 15 s die with the process
        )
        return wandb.init(dir=root, mode=mode, resume="allow", reinit="create_new", settings=options, **settings)

    global _unreachable
    with _starting:
        try:
            run = start("offline" if _unreachable else mode)
        except (CommError, UsageError):
            _unreachable = True
            wandb.teardown()  # it still holds the id of the run that could not connect
            run = start("offline")
    return run
