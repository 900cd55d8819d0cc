"""One run's directory:

config.yaml    the resolved configuration
status.json    state, step, provenance, and at the end the results
metrics.csv    one row per evaluation; cut on resume to the rows that the checkpoint covers
probes.npz     what was measured inside the network
checkpoint.pt  the truth about where the run is
traceback.txt  after a fault
lock           an advisory lock of the operating system, held by the process that trains the run and by no dead one
"""

import csv
import fcntl
import filecmp
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import filelock

from bnrepro.errors import UserError
from bnrepro.records.files import (
    make_writable,
    naming,
    read_json,
    remove_litter,
    write_atomically,
    write_json,
    write_text,
)

ENDED = ("finished", "diverged")  # states of a complete record
CHECKED = ("config.yaml", "metrics.csv")  # files whose digests a checkpoint holds
RECORD_FILES = ("config.yaml", "status.json", "metrics.csv", "probes.npz")


class RunDirectory:
    """The directory of one run."""

    def __init__(self, path: Path):
        self.path = path
        self.name = path.name
        self.checkpoint = path / "checkpoint.pt"
        self._lock = filelock.FileLock(path / "lock")

    def create(self) -> None:
        """Make the directory, or raise a `UserError` if it cannot be made or written to."""
        try:
            make_writable(self.path)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"cannot write to {self.path} ({reason}); set BNREPRO_RUNS to a writable folder") from None

    def acquire(self, timeout: float = 0.5) -> bool:
        """Take the lock and remove what a killed process left half written; return False if another process has it.

        The timeout is longer than another process holds the lock to look whether the run is locked.
        """
        try:
            self._lock.acquire(timeout=timeout, poll_interval=0.05)
        except filelock.Timeout:
            return False
        except OSError as error:
            raise UserError(f"{self._lock.lock_file} cannot be locked ({error.strerror}); move it away") from None
        remove_litter(self.path)
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    @property
    def locked(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock.is_locked

    def is_held(self) -> bool:
        """Return whether a live process trains this run now."""
        if self.locked:
            return True
        try:
            with open(self.path / "lock", "rb") as file:  # a shared lock, so that readers do not see each other
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # there is no lock, or it may not be read here
            return False
        return False

    def status(self) -> dict[str, Any]:
        """Return status.json, or an empty dict before the run has begun."""
        path = self.path / "status.json"
        status = read_json(path) if path.exists() else {}
        if not isinstance(status, dict):
            raise UserError(f"{path} is not a JSON object; move its directory away to run it afresh")
        return status

    def state(self) -> str:
        """Return the state: that of status.json, but ``interrupted`` if no live process trains a ``running`` run."""
        state = self.status().get("state", "not begun")
        return "interrupted" if state == "running" and not self.is_held() else state

    def update(self, **changes: Any) -> None:
        """Change some values of status.json."""
        write_json(self.path / "status.json", self.status() | changes)

    def ended(self) -> bool:
        """Return whether the record is complete: finished with metrics, or diverged, and under its own name.

        A directory that was copied or renamed is not complete. A link is: it is a second name of a record.
        """
        status = self.status()
        under_its_name = self.path.is_symlink() or status.get("name", self.name) == self.name
        has_metrics = status.get("state") == "diverged" or (self.path / "metrics.csv").exists()
        return status.get("state") in ENDED and under_its_name and has_metrics

    def append_rows(self, rows: list[dict[str, Any]]) -> None:
        """Append rows to metrics.csv and sync it; the first call also writes the header."""
        if not rows:
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        if not (self.path / "metrics.csv").exists():
            writer.writeheader()
        writer.writerows(rows)
        path = self.path / "metrics.csv"
        with naming(path), open(path, "a", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())

    def digests(self) -> dict[str, str]:
        """Return, by name, the SHA-256 of the files that a checkpoint builds upon."""
        paths = [self.path / name for name in CHECKED]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}

    def check(self, rows: int, digests: dict[str, str]) -> None:
        """Raise a `UserError` if a file is missing or is not what it was when a checkpoint was made.

        Args:
            rows: how many rows of metrics.csv the checkpoint covers. A crash may have left more.
            digests: what `digests` returned then.
        """
        remedy = f"put it back, or move {self.path} away to run it afresh"
        if not self.status():
            raise UserError(f"{self.path / 'status.json'} is missing, but there is a checkpoint; {remedy}")
        for name, digest in digests.items():
            path = self.path / name
            content = path.read_bytes() if path.exists() else b""
            if name == "metrics.csv":
                content = b"".join(content.splitlines(keepends=True)[: rows + 1])
            if hashlib.sha256(content).hexdigest() != digest:
                raise UserError(f"{path} is not what it was when the checkpoint was made; {remedy}")

    def cut_history(self, rows: int) -> list[dict[str, str]]:
        """Cut metrics.csv to its first ``rows`` rows, which a checkpoint covers, and return them."""
        path = self.path / "metrics.csv"
        lines = path.read_text().splitlines(keepends=True)[: rows + 1] if path.exists() else []
        if rows == 0:
            path.unlink(missing_ok=True)
            return []
        write_text(path, "".join(lines))
        return list(csv.DictReader(lines))

    def publish(self, destination: Path) -> Path:
        """Copy the files of the record into ``destination``/<name>, over what is there, and return that path.

        Each file is replaced as a whole, and status.json last. After a crash there is the old record, or one that the
        next call completes. A link is a second name of a record and stays as it is.
        """
        target = destination / self.name
        if target.is_symlink():
            return target
        names = [name for name in RECORD_FILES if (self.path / name).exists()]
        _, different, missing = filecmp.cmpfiles(self.path, target, names, shallow=False)
        target.mkdir(parents=True, exist_ok=True)
        remove_litter(target)
        for name in sorted({*different, *missing}, key="status.json".__eq__):
            content = (self.path / name).read_bytes()
            write_atomically(target / name, lambda file, content=content: file.write(content))
        for name in set(RECORD_FILES) - set(names):
            (target / name).unlink(missing_ok=True)
        return target
