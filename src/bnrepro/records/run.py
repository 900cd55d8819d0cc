"""One run's directory:

config.yaml    the resolved configuration
status.json    state, step, provenance, and at the end the results
metrics.csv    one row per evaluation; cut on resume to the rows that the checkpoint covers
probes.npz     what was measured inside the network
checkpoint.pt  the truth about where the run is
traceback.txt  after a fault
lock           held by the process that trains it, and by no dead one (an advisory lock of the operating system)
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
import numpy as np

from bnrepro.errors import UserError
from bnrepro.records.files import make_writable, read_json, write_atomically, write_json, write_text

ENDED = ("finished", "diverged")  # states that a relaunch leaves alone
CHECKED = ("config.yaml", "metrics.csv")  # by every checkpoint
RECORD_FILES = ("config.yaml", "status.json", "metrics.csv", "probes.npz")


class RunDirectory:
    """The directory of one run, with what the module's text lists."""

    def __init__(self, path: Path):
        self.path = path
        self.name = path.name
        self.checkpoint = path / "checkpoint.pt"
        self._lock = filelock.FileLock(path / "lock")

    def create(self) -> None:
        """Make the directory; one that cannot be made or written to is a `UserError`."""
        try:
            make_writable(self.path)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"cannot write to {self.path} ({reason}); set BNREPRO_RUNS to a writable folder") from None

    def acquire(self, timeout: float = 0.5) -> bool:
        """Take the lock, and remove what a killed process left half written.

        False when a live process holds the lock for longer than a look at it takes.

        Raises:
            UserError: something that is no lock is in its place.
        """
        try:
            self._lock.acquire(timeout=timeout, poll_interval=0.05)
        except filelock.Timeout:
            return False
        except OSError as error:
            raise UserError(f"{self._lock.lock_file} cannot be locked ({error.strerror}); move it away") from None
        _remove_litter(self.path)
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    @property
    def locked(self) -> bool:
        """Whether this object has taken the lock."""
        return self._lock.is_locked

    def is_held(self) -> bool:
        """Whether a live process trains this run now."""
        if self.locked:
            return True
        try:
            with open(self.path / "lock", "rb") as file:  # a shared lock: those who look do not see each other
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no lock, or one that may not be read here
            return False
        return False

    def status(self) -> dict[str, Any]:
        """What status.json says, or an empty dict before the run has begun."""
        path = self.path / "status.json"
        status = read_json(path) if path.exists() else {}
        if not isinstance(status, dict):
            raise UserError(f"{path} is not a JSON object; move its directory away to run it afresh")
        return status

    def state(self) -> str:
        """As status.json has it, but ``running`` only while a live process holds the lock; at first ``not begun``."""
        state = self.status().get("state", "not begun")
        return "interrupted" if state == "running" and not self.is_held() else state

    def update(self, **changes: Any) -> None:
        """Merge into status.json."""
        write_json(self.path / "status.json", self.status() | changes)

    def ended(self) -> bool:
        """Whether the record is complete: finished, or diverged.

        It is not if it is another run's, copied or renamed, or if what was finished has no metrics. A link is a second
        name of a record.
        """
        status = self.status()
        own = self.path.is_symlink() or status.get("name", self.name) == self.name
        whole = status.get("state") == "diverged" or (self.path / "metrics.csv").exists()
        return status.get("state") in ENDED and own and whole

    def write_config(self, text: str) -> None:
        """Write config.yaml."""
        write_text(self.path / "config.yaml", text)

    def append_rows(self, rows: list[dict[str, Any]]) -> None:
        """Append rows to metrics.csv and sync it; the first ones also write the header."""
        if not rows:
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        if not (self.path / "metrics.csv").exists():
            writer.writeheader()
        writer.writerows(rows)
        with open(self.path / "metrics.csv", "a", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())

    def write_probes(self, arrays: dict[str, np.ndarray]) -> None:
        """Write probes.npz."""
        write_atomically(self.path / "probes.npz", lambda file: np.savez_compressed(file, **arrays))

    def digests(self) -> dict[str, str]:
        """SHA-256 of what a checkpoint builds upon: the configuration, and the metrics so far."""
        paths = [self.path / name for name in CHECKED]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}

    def check(self, rows: int, digests: dict[str, str]) -> None:
        """Compare the files with what a checkpoint knows of them.

        Args:
            rows: how many rows of metrics.csv it covers; a crash may have left more.
            digests: what `digests` gave when it was made.

        Raises:
            UserError: a file is gone, or was changed.
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
        """Cut metrics.csv to its first ``rows`` rows, those that the checkpoint covers, and return them."""
        path = self.path / "metrics.csv"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        if rows == 0:
            path.unlink(missing_ok=True)
            return []
        write_text(path, "".join(lines[: rows + 1]))
        return list(csv.DictReader(lines[: rows + 1]))

    def publish(self, destination: Path) -> Path:
        """Copy the small record into ``destination``/<name>, over what is there, and return where that is.

        Each file is replaced whole, and status.json last: after a crash there is the record that was there, or one that
        the next call completes. A link there is a second name of a record, which stays as it is.
        """
        target = destination / self.name
        if target.is_symlink():
            return target
        names = [name for name in RECORD_FILES if (self.path / name).exists()]
        _, different, missing = filecmp.cmpfiles(self.path, target, names, shallow=False)
        target.mkdir(parents=True, exist_ok=True)
        _remove_litter(target)
        for name in sorted({*different, *missing}, key="status.json".__eq__):
            content = (self.path / name).read_bytes()
            write_atomically(target / name, lambda file, content=content: file.write(content))
        for name in set(RECORD_FILES) - set(names):
            (target / name).unlink(missing_ok=True)
        return target


def _remove_litter(folder: Path) -> None:
    """Remove what a killed process left half written."""
    for left in [*folder.glob(".*.tmp"), *folder.glob(".writable.*")]:
        left.unlink(missing_ok=True)
