"""Being asked to stop: by a signal, or by the end of the sweep that started this run."""

import os
import signal
import threading
import time
from types import FrameType


class StopRequest:
    """A context in which SIGINT and SIGTERM ask the loop to save and stop; a second one acts at once.

    ``signum`` is the signal that asked, or None. In a thread other than the main one signals are left alone.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signum: int | None = None
        self._old: dict[int, object] = {}

    def _asked(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._old.items():
            signal.signal(signum, handler)
        self._old = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._old = {signum: signal.signal(signum, self._asked) for signum in self.SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        self._restore()


def follow_parent(parent: int, seconds: float = 0.5) -> None:
    """Send this process SIGTERM once ``parent`` is no longer its parent, watching from a background thread."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="follow-parent").start()
