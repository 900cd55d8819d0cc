"""How a process is asked to stop: by a signal, or by the end of its parent.

scripts/train.py imports this before all that takes long, so it needs the standard library alone.
"""

import os
import signal
import sys
import threading
import time
from types import FrameType

EARLY = "interrupted before anything began; run the same command to start"


def end_early(signum: int, frame: FrameType | None) -> None:
    """End this process with one line; an exception while modules are imported would end in a traceback, or in none."""
    print(EARLY, file=sys.stderr, flush=True)
    os._exit(128 + signum)


def hear_early() -> None:
    """Until `begin`, SIGINT ends this process with one line, unless it is ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end_early)


def begin() -> None:
    """From here on there is something to save or to let go of, so SIGINT raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is end_early:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class StopRequest:
    """A context in which SIGINT, SIGTERM and SIGUSR1 ask the loop to save and stop.

    ``signum`` is the signal that asked, or None. A second SIGINT or SIGTERM acts at once. A sweep sends SIGUSR1, which
    never does, because a user may have asked before. A signal that is ignored stays ignored, and in a thread other than
    the main one all are left alone.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.signum: int | None = None
        self._old: dict[int, object] = {}

    def _request(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._restore(signal.SIGINT, signal.SIGTERM)

    def _restore(self, *signals: int) -> None:
        for signum in self._old.keys() & set(signals):
            signal.signal(signum, self._old.pop(signum))

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            heard = [signum for signum in self.SIGNALS if signal.getsignal(signum) is not signal.SIG_IGN]
            self._old = {signum: signal.signal(signum, self._request) for signum in heard}
        return self

    def __exit__(self, *_) -> None:
        self._restore(*self.SIGNALS)


def follow_parent(parent: int, seconds: float = 0.5) -> None:
    """Send this process SIGUSR1 once ``parent`` is no longer its parent, watching from a background thread."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=watch, daemon=True, name="follow-parent").start()
