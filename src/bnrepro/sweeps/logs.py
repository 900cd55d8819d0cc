"""What the jobs of a sweep print, passed on while it runs."""

import threading
from contextlib import suppress
from pathlib import Path

PERIOD = 1.0  # seconds between looks


class Logs:
    """A context in which the lines that jobs write into ``DIRECTORY/*/log.txt`` are printed, each once."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._printed: dict[Path, int] = {}  # bytes of each log
        self._printing, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="logs")

    def print_new_lines(self) -> None:
        """Print the whole lines that are new in the logs."""
        with self._printing, suppress(OSError):  # a folder may be moved away
            for path in sorted(self.directory.glob("*/log.txt")):
                content = path.read_bytes()[self._printed.get(path, 0) :]
                lines = content[: content.rfind(b"\n") + 1]
                self._printed[path] = self._printed.get(path, 0) + len(lines)
                print(lines.decode(errors="replace"), end="", flush=True)

    def _follow(self) -> None:
        while not self._over.wait(PERIOD):
            self.print_new_lines()

    def __enter__(self) -> "Logs":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.print_new_lines()
