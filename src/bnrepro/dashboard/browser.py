"""Local runs in the browser with no account: their records replayed into trackio, while they are under way."""

import contextlib
import csv
import io
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import yaml

from bnrepro.errors import UserError
from bnrepro.records import mirror_rows
from bnrepro.records.files import read_json

PROJECT = "bnrepro"
HOST = "127.0.0.1"
ORDER = "val/top1,val/*,tune/*,train/*,gradients/*,seconds"  # of charts; the many of percentiles come last
Rows = list[tuple[int, dict[str, float]]]


def available() -> bool:
    """Whether the optional extra is installed."""
    from importlib.util import find_spec

    return find_spec("trackio") is not None


def _trackio(runs_dir: Path) -> Any:
    """trackio, with its files in the runs directory."""
    if not available():
        raise UserError("the browser needs the optional extra; run: pip install -e '.[dashboard]'")
    os.environ.setdefault("TRACKIO_DIR", str(runs_dir.resolve() / "trackio"))
    os.environ.setdefault("TRACKIO_PLOT_ORDER", ORDER)
    import trackio

    return trackio


class Replay:
    """Follows the records of a runs directory into trackio's store.

    Args:
        runs_dir: where runs are, finished and under way.

    Raises:
        UserError: trackio is not installed.
    """

    def __init__(self, runs_dir: Path):
        self.runs_dir, self.trackio = runs_dir, _trackio(runs_dir)
        folder = Path(os.environ["TRACKIO_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(folder / "replay.lock")
        self._seen: dict[Path, int] = {}  # of each run, when the status that was last followed was written

    def catch_up(self) -> int:
        """Log every row that is durable and not yet there; how many that were. 0 while another process does so."""
        try:
            with self._lock.acquire(timeout=0):
                found = sorted(self.runs_dir.glob("[!.]*/metrics.csv"), key=lambda path: -path.stat().st_mtime)
                return sum(self._follow(path.parent) for path in found)  # those under way first
        except filelock.Timeout:
            return 0

    def _follow(self, path: Path) -> int:
        """Log what is new of one run."""
        try:
            written = (path / "status.json").stat().st_mtime_ns
            if self._seen.get(path) == written:
                return 0
            new = self._new_rows(path)
            group, config = read_json(path / "status.json")["group"], yaml.safe_load((path / "config.yaml").read_text())
        except (OSError, ValueError, KeyError, yaml.YAMLError):  # it is being moved or removed; the others go on
            return 0
        if new:
            self._log(path.name, group, config, new)
        self._seen[path] = written
        return len(new)

    def _new_rows(self, path: Path) -> Rows:
        from trackio.sqlite_storage import SQLiteStorage

        known = path.name in SQLiteStorage.get_runs(PROJECT)
        last = SQLiteStorage.get_last_step(PROJECT, path.name) if known else None
        return [(step, values) for step, values in _rows(path) if last is None or step > last]

    def _log(self, name: str, group: str, config: dict[str, Any], rows: Rows) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            run = self.trackio.init(
                project=PROJECT,
                name=name,
                group=group,
                config=config,
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            for step, values in rows:
                run.log(values, step=step)
            self.trackio.finish()

    def serve(self) -> str:
        """Start the dashboard on this machine alone; its address."""
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a token that lets others write
            _, url, _, _ = self.trackio.show(project=PROJECT, host=HOST, open_browser=False, block_thread=False)
        return f"{url.rstrip('/')}/?project={PROJECT}&smoothing=0&hide_empty_tabs=true"

    def keep_up(self, seconds: float = 5.0) -> None:
        """Follow until the process ends."""
        while True:
            with contextlib.suppress(OSError, sqlite3.Error):  # trackio's store is busy; the next time will do
                self.catch_up()
            time.sleep(seconds)


def _rows(path: Path) -> Rows:
    """The rows of a run that its status says are durable, with what the probes saw."""
    step = read_json(path / "status.json")["step"]
    with open(path / "metrics.csv", newline="") as file:
        read = [row for row in csv.DictReader(file) if None not in row.values()]  # but a line being written
    history = [{name: float(value) for name, value in row.items() if value} for row in read]
    probes: dict[str, np.ndarray] = {}
    if (path / "probes.npz").is_file():
        with np.load(path / "probes.npz", allow_pickle=False) as arrays:
            probes = {name: arrays[name] for name in arrays.files}
    return [(at, values) for at, values in mirror_rows.rows(history, probes) if at <= step]
