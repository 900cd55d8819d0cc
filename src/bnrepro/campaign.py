"""A sweep in calls of so many minutes: each ends in time with everything saved, and the same call goes on with it.

The sweep is that of ``scripts/train.py -m``, with its launchers: what has ended is left out, what is partial resumes.
"""

import ctypes
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import IO

from omegaconf import OmegaConf

from bnrepro import status
from bnrepro.errors import UserError
from bnrepro.outcome import INTERRUPTED
from bnrepro.records.files import read_json, write_atomically
from bnrepro.records.run import RECORD_FILES, RunDirectory
from bnrepro.training.interrupt import StopRequest

TRAIN = Path(__file__).resolve().parents[2] / "scripts" / "train.py"
POLL = 0.2  # seconds between looks at the sweep
SAVING = 0.8  # of the grace; the rest is for the records
PR_SET_PDEATHSIG = 1  # of prctl(2): the signal that a process gets when its parent has ended


def deadline(minutes: float, grace: float) -> Callable[[], float]:
    """Counts the seconds that are left from now on.

    Raises:
        UserError: there are none to train in.
    """
    if not 60 * minutes > 2 * grace > 0:
        raise UserError(
            f"--minutes {minutes:g} leaves no time to train: it must be more than twice --grace {grace:g} s"
        )
    until = time.monotonic() + 60 * minutes
    return lambda: until - time.monotonic()


def run(words: list[str], left: Callable[[], float], grace: float, out: Path | None) -> int:
    """Train what is missing until the time is up or a signal comes, pack the records, and say how every run stands.

    Args:
        words: what ``scripts/train.py -m`` takes.
        left: seconds that are left.
        grace: seconds before the end at which the sweep is asked to save and stop; also after a signal. What has not
            by the end is killed, and is where its last checkpoint was.
        out: a tar for the records of those runs of the sweep that have ended.

    Returns:
        The exit code: the sweep's own if it came to its end; else 0 unless a run failed, or a signal came.

    Raises:
        UserError: ``out`` cannot be written; nothing has been started.
    """
    if out and not out.parent.is_dir():
        raise UserError(f"no folder {out.parent} to pack {out.name} into")
    given = dict(word.split("=", 1) for word in words if "=" in word)
    runs = Path(given.get("runs_dir") or os.environ.get("BNREPRO_RUNS", "runs"))
    folder = runs / ".sweeps" / f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    with StopRequest() as stop:
        sweep = begin([*words, f"hydra.sweep.dir='{folder}'"])
        while sweep.poll() is None and stop.signum is None and left() > grace:
            time.sleep(POLL)
        stopped = sweep.poll() is None
        directories = [runs / name for name in planned(folder)]
        if stopped:
            end(sweep, directories, SAVING * grace)
    if out:
        print(f"campaign: {pack(directories, out)} records packed into {out}", flush=True)
    if not stopped:
        return sweep.returncode
    print(f"campaign: stopped {'by a signal' if stop.signum else 'in time'}; the same command goes on", flush=True)
    status.main(["--runs", str(runs)])
    if stop.signum:
        return INTERRUPTED
    return int(any(RunDirectory(path).status().get("state") == "failed" for path in directories))


def begin(words: list[str]) -> subprocess.Popen:
    """Start a sweep, out of reach of a terminal's Ctrl-C; on Linux it ends when this process does, even by SIGKILL."""

    def follow() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGTERM)

    return subprocess.Popen([sys.executable, str(TRAIN), "-m", *words], process_group=0, preexec_fn=follow)


def planned(folder: Path) -> list[str]:
    """The names of a sweep's runs; none if it has not come to its plan."""
    plan = folder / "plan.json"
    return read_json(plan)["runs"] if plan.is_file() else []


def end(sweep: subprocess.Popen, directories: list[Path], seconds: float) -> None:
    """Ask a sweep to stop, and wait until its runs have saved and let go; after so many seconds kill what is left.

    The jobs of a sweep end when it does, and each holds its run's lock until it has saved.
    """
    until = time.monotonic() + seconds
    sweep.terminate()
    while time.monotonic() < until:
        if sweep.poll() is not None and not any(RunDirectory(path).is_held() for path in directories):
            break
        time.sleep(POLL)
    with suppress(ProcessLookupError):
        os.killpg(sweep.pid, SIGKILL)
    sweep.wait()


def pack(directories: list[Path], out: Path) -> int:
    """Put the records of the runs that have ended into one tar, each where it belongs under results/, and count them.

    A member is called <figure>/<scale>/runs/<run>/<file>: ``tar -xf FILE -C results`` puts all in place.
    """
    ended = [path for path in directories if RunDirectory(path).ended()]

    def write(file: IO[bytes]) -> None:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for path in ended:
                config = OmegaConf.load(path / "config.yaml")
                for name in RECORD_FILES:
                    if (path / name).exists():
                        tar.add(path / name, f"{config.figure}/{config.scale.name}/runs/{path.name}/{name}")

    write_atomically(out, write)
    return len(ended)
