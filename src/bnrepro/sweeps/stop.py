"""How a sweep is asked to stop: by a signal, which it passes on to its jobs through a file in its directory."""

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType

from joblib.externals.loky.backend import resource_tracker as loky_tracker

from bnrepro.training.progress import SWEEP_PID

ASKED = (signal.SIGINT, signal.SIGTERM)
STOP = "stop"  # in the sweep's directory, once it has been asked to


class Stop:
    """A context in which SIGINT and SIGTERM end the sweep, or while its jobs are told so, ask it to end.

    A second signal acts at once. One that is ignored stays ignored.

    Args:
        directory: of the sweep.
    """

    def __init__(self, directory: Path):
        self.path = directory / STOP
        self.signum: int | None = None
        self._telling = False
        self._old: dict[int, object] = {}

    @contextmanager
    def telling(self, jobs: list[list[str]]) -> Iterator[list[list[str]]]:
        """While a launcher runs jobs that look whether the sweep goes on, and end with everything saved if not.

        Gives the jobs, of which the launcher, as it takes one after the other, then takes no more.
        """
        self._telling = True
        # What the launcher starts inherits that SIGINT is blocked until it can do without a traceback (`hear_early`);
        # here the thread that watches gets it. The trackers are first, because starting them unblocks it.
        for tracker in (resource_tracker, loky_tracker):
            tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield _UntilAsked(jobs, self)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            self._telling = False

    def act(self) -> None:
        """End the sweep if it was asked to."""
        if self.signum is not None:
            sys.exit(128 + self.signum)

    def _asked(self, signum: int, frame: FrameType | None) -> None:
        self._restore()
        self.signum = signum
        if not self._telling:
            self.act()
        self.path.touch()
        print("stopping: the runs save first; asked again, the sweep stops at once", flush=True)

    def _restore(self) -> None:
        for signum, handler in self._old.items():
            signal.signal(signum, handler)
        self._old = {}

    def __enter__(self) -> "Stop":
        self.path.unlink(missing_ok=True)
        self._old = {signum: signal.signal(signum, self._asked) for signum in _heard()}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()


class _UntilAsked(list):
    def __init__(self, jobs: list[list[str]], stop: Stop):
        super().__init__(jobs)
        self.stop = stop

    def __iter__(self) -> Iterator[list[str]]:
        return itertools.takewhile(lambda _: self.stop.signum is None, super().__iter__())


def _heard() -> list[int]:
    return [signum for signum in ASKED if signal.getsignal(signum) is not signal.SIG_IGN]


def sweep_lives() -> bool:
    """Whether this launcher's worker has not outlived its sweep; one job at a time runs in the sweep's own process."""
    return int(os.environ[SWEEP_PID]) in (os.getpid(), os.getppid())


def goes_on(directory: Path) -> bool:
    """Whether the sweep of this directory, which this process works for, lives and has not been asked to stop."""
    return sweep_lives() and not (directory / STOP).exists()


@contextmanager
def deaf() -> Iterator[None]:
    """In a launcher's worker, leave SIGINT and SIGTERM, which a terminal or a scheduler sends to all, to the sweep."""
    if os.getpid() == int(os.environ[SWEEP_PID]):
        yield
        return
    # What it starts will hear SIGTERM, but not SIGINT, which would meet it while it imports: it is told to end instead.
    deafness = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: lambda *_: None}
    old = {signum: signal.signal(signum, deafness[signum]) for signum in _heard()}
    try:
        yield
    finally:
        for signum, handler in old.items():
            signal.signal(signum, handler)
