"""A mirror of one run in W&B: a thread of its own sends the rows of the record, and training never waits for it.

A row is sent only once a checkpoint covers it, and with its own step. A run that was killed and resumed therefore shows
no gap and no repeated row. Offline, each process writes one part of the run, which begins after the last step of the
earlier parts, because `wandb sync` sends the parts in order and changes the steps of a part that begins too early. If
W&B fails, the run goes on and its record on disk is complete.
"""

import glob
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from bnrepro.tracking.wandb_setup import keep_out_of_home, resolve_mode

BEST = {  # the metrics whose best value W&B's summary shows as best/<metric>, beside the last value
    f"{split}/{name}": better
    for split in ("val", "tune")
    for name, better in (("loss", min), ("top1", max), ("top5", max))
}

Rows = list[tuple[int, dict[str, Any]]]  # (step, values by metric)

_starting = threading.Lock()  # runs that are stacked in one program start one after the other
_unreachable = False  # once W&B could not be reached, this process does not try again


class End(NamedTuple):
    """How a run ended, and what W&B keeps with it."""

    exit_code: int
    summary: dict[str, Any] = {}  # noqa: RUF012
    artifacts: dict[tuple[str, str], list[Path]] = {}  # noqa: RUF012 - files by the artifact's name and type
    copied: bool = False  # whether an offline run copies these files; files that are not copied must not change


class Mirror:
    """One W&B run.

    Args:
        runs_dir: offline runs are kept in ``<runs_dir>/wandb``.
        mode: auto, online, offline or disabled.
        timeout: the seconds that W&B has to connect, after which the run is logged offline, and to take the last rows.
        **settings: arguments of ``wandb.init``: id, name, project, entity, group, job_type, tags, notes, config.
    """

    def __init__(self, runs_dir: Path, mode: str, timeout: float, **settings: Any):
        self.error: str | None = None
        self._last_step = -1
        self._queue: queue.SimpleQueue[Rows | End] = queue.SimpleQueue()
        mode = resolve_mode(mode)
        self._thread = threading.Thread(target=self._follow, args=(runs_dir, mode, timeout, settings), daemon=True)
        if mode != "disabled":
            keep_out_of_home(runs_dir)
            self._thread.start()

    def sync(self, rows: Rows) -> None:
        """Queue the rows that have become durable, without those that were queued before."""
        new = [(step, values) for step, values in rows if step > self._last_step]
        if new:
            self._last_step = new[-1][0]
            self._queue.put(new)

    def close(self, end: End) -> None:
        """Queue the end of the run, after which no rows come. This does not wait for W&B."""
        self._queue.put(end)

    def wait_until(self, deadline: float) -> str | None:
        """Wait for W&B until `time.monotonic` reaches ``deadline``, and return what went wrong, or None."""
        if self._thread.ident is None:  # disabled: the thread was never started
            return None
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            return "W&B has not taken all of it"
        return self.error and f"not in W&B ({self.error})"

    def _follow(self, runs_dir: Path, mode: str, timeout: float, settings: dict[str, Any]) -> None:
        try:
            run = _start(runs_dir, mode, timeout, settings)
            self._log(run, first_step(run))
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}".splitlines()[0]

    def _log(self, run: Any, first: int) -> None:
        """Log the queued rows from step ``first`` on, then the end of the run."""
        import wandb

        best: dict[str, float] = {}
        while not isinstance(item := self._queue.get(), End):
            for step, values in item:
                for metric in BEST.keys() & values.keys():
                    best_so_far = best.get(f"best/{metric}", values[metric])
                    best[f"best/{metric}"] = BEST[metric](best_so_far, values[metric])
                if step >= first:
                    run.log(values, step=step, commit=True)
            run.summary.update(best)  # over all rows; W&B itself knows only the rows since the last resume
        run.summary.update(item.summary)
        for (name, kind), paths in item.artifacts.items():
            artifact = wandb.Artifact(name, type=kind)
            for path in paths:
                policy = "mutable" if item.copied else "immutable"
                artifact.add_file(str(path.resolve()), policy=policy, skip_cache=True)
            run.log_artifact(artifact)
        run.finish(exit_code=item.exit_code)


def _start(runs_dir: Path, mode: str, timeout: float, settings: dict[str, Any]) -> Any:
    """Start the W&B run, offline if W&B cannot be reached."""
    import wandb
    from wandb.errors import CommError, UsageError

    options = wandb.Settings(
        init_timeout=timeout,
        finish_timeout=timeout,
        console="off",
        silent=True,
        x_transaction_log_flush_interval=1.0,  # seconds; by default the rows of the last 15 s die with the process
    )
    settings = settings | {"dir": runs_dir.resolve(), "resume": "allow", "reinit": "create_new", "settings": options}
    global _unreachable
    with _starting:
        try:
            return wandb.init(mode="offline" if _unreachable else mode, **settings)
        except (CommError, UsageError):
            _unreachable = True
            wandb.teardown()  # it still holds the id of the run that could not connect
            return wandb.init(mode="offline", **settings)


def first_step(run: Any) -> int:
    """Return the first step that no other part of this run holds.

    Offline, the other parts are the folders on disk. Online, W&B knows the last step. All rows are then sent, so that
    parts which were never pushed are renamed, and a later `wandb sync` leaves them out.
    """
    folder = Path(run.dir).parent
    parts = [path for path in folder.parent.glob(f"*run-????????_??????-{glob.escape(run.id)}") if path != folder]
    logs = [log for part in parts if part.name.startswith(("run-", "offline-run-")) for log in part.glob("*.wandb")]
    if run.offline:
        return max([run.step, *(int(row["_step"]) + 1 for log in logs for row in history(log))])
    for log in logs:
        if log.parent.name.startswith("offline-") and not log.with_name(f"{log.name}.synced").exists():
            log.parent.rename(log.parent.with_name(f"superseded-{log.parent.name}"))
    return run.step


def history(log: Path) -> list[dict[str, Any]]:
    """Return every row of a local W&B file, with its ``_step``."""
    return [item["history"]["item"] for item in inspect(log) if item["type"] == "history"]


def inspect(log: Path) -> list[dict[str, Any]]:
    """Read a local W&B file with W&B's own reader, up to the torn end that a killed process leaves."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log.parent)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    return [json.loads(line) for line in output.splitlines()]
