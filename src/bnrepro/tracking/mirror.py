"""The mirror of a run in W&B: it follows the record from a thread of its own and is never waited for.

Rows reach W&B only once a checkpoint covers them, each with its own step, so that a run that was killed and resumed
shows no gap and no repeat. Offline, each process writes a part of the run, which begins after the last step of the
parts before it. (`wandb sync` sends the parts in order, and moves the steps of one that begins too early.) Whatever
happens to W&B, the run goes on and its record is complete.
"""

import glob
import json
import queue
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bnrepro.tracking.wandb_setup import keep_out_of_home, resolve_mode

BEST = {  # what W&B's summary has of a metric beside its last value, as best/<metric>
    f"{split}/{name}": better
    for split in ("val", "tune")
    for name, better in (("loss", min), ("top1", max), ("top5", max))
}

Rows = list[tuple[int, dict[str, Any]]]  # by step

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
        mode: auto, online, offline or disabled.
        timeout: seconds for W&B to connect, after which the run is logged offline, and at the end to take the rest.
        **settings: what ``wandb.init`` takes: id, name, project, entity, group, job_type, tags, notes, config.
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
        """Hand over rows that have become durable; those handed over before are left out."""
        new = [(step, values) for step, values in rows if step > self._last_step]
        if new:
            self._last_step = new[-1][0]
            self._queue.put(new)

    def close(self, end: End) -> None:
        """Say that no more rows will come, and how the run ended; does not wait."""
        self._queue.put(end)

    def complaint(self, deadline: float) -> str | None:
        """Wait for W&B to take the rest, until `time.monotonic` says ``deadline``; what went wrong, or None."""
        if self._thread.ident is None:  # disabled
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
        """Log what is handed over from step ``first`` on, and then how the run ended."""
        best: dict[str, float] = {}
        while not isinstance(item := self._queue.get(), End):
            for step, values in item:
                for metric in BEST.keys() & values.keys():
                    best_so_far = best.get(f"best/{metric}", values[metric])
                    best[f"best/{metric}"] = BEST[metric](best_so_far, values[metric])
                if step >= first:
                    run.log(values, step=step, commit=True)
            run.summary.update(best)  # over all rows; W&B itself knows only those since the last resume
        run.summary.update(item.summary)
        for (name, kind), files in item.artifacts.items():
            _log_artifact(run, name, kind, files, item.copied)
        run.finish(exit_code=item.exit_code)


def _start(runs_dir: Path, mode: str, timeout: float, settings: dict[str, Any]) -> Any:
    """The W&B run; offline where W&B cannot be reached."""
    folder = runs_dir.resolve()
    import wandb
    from wandb.errors import CommError, UsageError

    options = wandb.Settings(
        init_timeout=timeout,
        finish_timeout=timeout,
        console="off",
        silent=True,
        x_transaction_log_flush_interval=1.0,  # by default rows of the last 15 s die with the process
    )
    settings = settings | {"dir": folder, "resume": "allow", "reinit": "create_new", "settings": options}
    global _unreachable
    with _starting:
        try:
            return wandb.init(mode="offline" if _unreachable else mode, **settings)
        except (CommError, UsageError):
            _unreachable = True
            wandb.teardown()  # it still holds the id of the run that could not connect
            return wandb.init(mode="offline", **settings)


def _log_artifact(run: Any, name: str, kind: str, files: list[Path], copied: bool) -> None:
    import wandb

    artifact = wandb.Artifact(name, type=kind)
    for path in files:
        artifact.add_file(str(path.resolve()), policy="mutable" if copied else "immutable", skip_cache=True)
    run.log_artifact(artifact)


def first_step(run: Any) -> int:
    """The first step that is not in another part of this run.

    Offline, that is after the parts on disk. Online W&B says it; parts that were never pushed are then renamed, as all
    of their rows are sent now.
    """
    here = Path(run.dir).parent
    parts = [p for p in here.parent.glob(f"*run-????????_??????-{glob.escape(run.id)}") if p != here]
    logs = [log for part in parts if part.name.startswith(("run-", "offline-run-")) for log in part.glob("*.wandb")]
    if run.offline:
        return max([run.step, *(int(row["_step"]) + 1 for log in logs for row in history(log))])
    for log in logs:
        if log.parent.name.startswith("offline-") and not log.with_name(f"{log.name}.synced").exists():
            log.parent.rename(log.parent.with_name(f"superseded-{log.parent.name}"))
    return run.step


def history(log: Path) -> Iterator[dict[str, float]]:
    """Every row of a local W&B file, with its ``_step``; nested keys are joined with dots."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    for message in messages(log):
        try:
            record = Record.FromString(message)
        except DecodeError:
            return
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
            yield row | {"_step": record.history.step.num}


FILE_HEADER, BLOCK = 7, 32 * 1024  # bytes
PIECE = struct.Struct("<IHB")  # checksum, length, kind
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def messages(log: Path) -> Iterator[bytes]:
    """Every whole record of a local W&B file, as serialised bytes, read without W&B's own tools.

    The file is a LevelDB log of protocol buffers: after a header, blocks in which each piece of a record has a header
    of checksum, length and kind. A process that was killed leaves a torn end, which is where reading stops.
    """
    data = log.read_bytes()
    position, parts = FILE_HEADER, b""
    while position + PIECE.size <= len(data):
        room = BLOCK - position % BLOCK
        if room < PIECE.size:  # the end of a block is padding
            position += room
            continue
        _, length, kind = PIECE.unpack_from(data, position)
        piece = data[position + PIECE.size : position + PIECE.size + length]
        position += PIECE.size + length
        if kind not in (WHOLE, FIRST, MIDDLE, LAST) or len(piece) < length:
            return
        parts = piece if kind in (WHOLE, FIRST) else parts + piece
        if kind in (WHOLE, LAST):
            yield parts
