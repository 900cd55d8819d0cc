"""What every attack needs: commands that have to work or to be refused in one line, and small disks."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bnrepro.errors import UserError
from bnrepro.records.files import read_json
from conftest import ROOT
from faults.harness import QUIET, SMOKE
from launches import assert_same_run

MNIST = ROOT / "data" / "mnist"
RUN = ("train.py", "experiment=figure1/bn", *SMOKE, *QUIET)
SWEEP = ("train.py", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *RUN[1:], "seed=0,1")


class Attack:
    """One kind of attack: its folder, how often it was tried, and which promises were broken.

    Args:
        folder: where it can do as it likes.
        straight: the runs directory in which nothing disturbed `SWEEP`.
    """

    def __init__(self, folder: Path, straight: Path):
        self.folder, self.straight = folder, straight
        self.tries, self.broken = 0, list[str]()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        self.environment = kept | {"WANDB_MODE": "disabled", "HOME": str(folder)}

    def start(self, script: str, *words: str, runs: Path | None = None, limits=(), without=(), **changes: str):
        """Start a script.

        Args:
            script: in scripts/.
            words: of its command line.
            runs: the runs directory.
            limits: pairs of a resource and its limit.
            without: variables to leave out of the environment.
            changes: of the environment.
        """
        environment = self.environment | {"BNREPRO_RUNS": str(runs or self.folder / "runs")} | changes
        return subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / script), *words],
            cwd=ROOT,
            env={name: value for name, value in environment.items() if name not in without},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            preexec_fn=lambda: [resource.setrlimit(kind, (limit, limit)) for kind, limit in limits],
        )

    def run(self, *words: str, **options) -> tuple[int, str]:
        """Run a script to its end; its exit status and what it printed."""
        process = self.start(*words, **options)
        output = process.communicate(timeout=600)[0]
        return process.returncode, output

    def check(self, holds: bool, complaint: str) -> None:
        """Note a promise that is broken."""
        if not holds:
            self.broken.append(complaint)

    def works(self, *words: str, **options) -> str:
        """A script has to do its work."""
        self.tries += 1
        status, output = self.run(*words, **options)
        self.check(status == 0, f"{' '.join(words)}: exit status {status}: {output}")
        return output

    def is_refused(self, *words: str, **options) -> None:
        """A script has to end in one line and a non-zero exit status."""
        self.tries += 1
        status, output = self.run(*words, **options)
        lines = [line for line in output.splitlines() if line.strip()]
        if "-m" in words:  # a sweep says first what it has, then what failed, and then how to go on
            in_order = status > 0 and "Traceback" not in output and lines[-1].startswith(("go on with", "error: "))
        else:
            in_order = status > 0 and len(lines) == 1 and "Traceback" not in output
        self.check(in_order, f"{' '.join(words)}: exit status {status}: {output}")

    def is_same(self, runs: Path) -> None:
        """The runs have to be what nothing disturbed."""
        for record in runs.glob("bn-s*"):
            try:
                assert read_json(record / "status.json")["state"] == "finished"
                assert not list(record.glob(".*.tmp"))
                assert_same_run(self.straight / record.name, record)
            except (AssertionError, UserError, OSError) as error:
                self.broken.append(f"{record}: {type(error).__name__}: {error}")


class NotHere(Exception):
    """This machine does not let anybody mount a disk."""


@contextmanager
def disk(place: Path, kilobytes: int, options: str = "rw") -> Iterator[Callable[[], None]]:
    """A small disk in memory; what is yielded makes it large and writable."""
    place.mkdir(parents=True, exist_ok=True)
    if shutil.which("mount") is None or os.geteuid() != 0:
        raise NotHere
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,{options}", "tmpfs", place], capture_output=True
    )
    if mounted.returncode:
        raise NotHere
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,rw,size=200m", place], check=True)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
