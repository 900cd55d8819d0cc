"""How a process is asked to stop: by a signal, or by the end of its parent."""

import os
import signal
import threading
import time
from types import FrameType

TOGETHER = 1.0  # seconds within which signals are one request: `timeout` sends two, one to a whole group


class StopRequest:
    """A context in which SIGINT, SIGTERM and SIGUSR1 ask the loop to save and stop.

    ``signum`` is the signal that asked last, or None. A SIGINT or SIGTERM that comes `TOGETHER` or more after the first
    request acts at once. SIGUSR1 never does, because a sweep sends it after a user may have asked. A signal that is
    ignored stays ignored. Outside the main thread, where Python allows no handlers, nothing is changed.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.signum: int | None = None
        self._asked = 0.0  # when the first request came
        self._old_handlers: dict[int, object] = {}

    def _request(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is None:
            self._asked = time.monotonic()
        elif signum != signal.SIGUSR1 and time.monotonic() - self._asked >= TOGETHER:
            self._restore(signum)
            signal.raise_signal(signum)
        self.signum = signum

    def _restore(self, *signals: int) -> None:
        for signum in self._old_handlers.keys() & set(signals):
            signal.signal(signum, self._old_handlers.pop(signum))

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            handled = [signum for signum in self.SIGNALS if signal.getsignal(signum) is not signal.SIG_IGN]
            self._old_handlers = {signum: signal.signal(signum, self._request) for signum in handled}
        return self

    def __exit__(self, *_) -> None:
        self._restore(*self.SIGNALS)


def follow_parent(parent: int, seconds: float = 0.5) -> None:
    """Send this process SIGUSR1 once ``parent`` is no longer its parent. A background thread watches for that."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=watch, daemon=True, name="follow-parent").start()
