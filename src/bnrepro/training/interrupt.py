"""Being asked to stop: by a signal, or by the end of the sweep that started this run.

A door imports this before all that takes long: it needs the standard library alone.
"""

import os
import signal
import sys
import threading
import time
from types import FrameType

EARLY = "interrupted before anything began; run the same command to start"


def end_early(signum: int, frame: FrameType | None) -> None:
    """End this process with one line; while modules are imported an exception would end in a traceback, or in none."""
    print(EARLY, file=sys.stderr, flush=True)
    os._exit(128 + signum)


def hear_early(main: bool) -> None:
    """Until something begins, let SIGINT end this process quietly, unless it is ignored.

    Args:
        main: this is the process that was started; else a launcher's worker, which leaves signals to the sweep.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end_early if main else lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def begin() -> None:
    """From here on there is something to save or to let go of: SIGINT raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is end_early:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class StopRequest:
    """A context in which SIGINT, SIGTERM and SIGUSR1 ask the loop to save and stop.

    ``signum`` is the signal that asked, or None. A second SIGINT or SIGTERM acts at once; SIGUSR1, which a launcher
    sends to what may have been asked before, never does. A signal that is ignored stays ignored, and in a thread other
    than the main one all are left alone.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.signum: int | None = None
        self._old: dict[int, object] = {}

    def _asked(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        for typed in (signal.SIGINT, signal.SIGTERM):
            if typed in self._old:
                signal.signal(typed, self._old.pop(typed))

    def _restore(self) -> None:
        for signum, handler in self._old.items():
            signal.signal(signum, handler)
        self._old = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            heard = [signum for signum in self.SIGNALS if signal.getsignal(signum) is not signal.SIG_IGN]
            self._old = {signum: signal.signal(signum, self._asked) for signum in heard}
        return self

    def __exit__(self, *_) -> None:
        self._restore()


def follow_parent(parent: int, seconds: float = 0.5) -> None:
    """Send this process SIGUSR1 once ``parent`` is no longer its parent, watching from a background thread."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=watch, daemon=True, name="follow-parent").start()
