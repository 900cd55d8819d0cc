"""Lines that say how far a run is."""

import time
from typing import Any

PERIOD = 10.0  # seconds between lines, at least


def clock(seconds: float | None) -> str:
    """Return minutes and seconds, ``1:05``; an empty string for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


class ProgressLines:
    """Prints a line about a stack of runs, which begins at step ``start``, once per `PERIOD` at most."""

    def __init__(self, title: str, start: int):
        self.title, self.start = title, start
        self._began = self._last_line = time.monotonic()

    def __call__(self, step: int, total: int, rows: list[dict[str, Any]]) -> None:
        """Print the mean of the networks' latest evaluations, which are rows of metrics.csv."""
        now = time.monotonic()
        if not rows or now - self._last_line < PERIOD:
            return
        self._last_line = now
        loss = sum(row["train/loss"] for row in rows) / len(rows)
        top1 = sum(value for row in rows for name, value in row.items() if name.endswith("/top1")) / len(rows)
        rate = (step - self.start) / (now - self._began)
        speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        values = f"top-1 {top1:.4f}, loss {loss:.4g}, {speed} steps/s, {clock((total - step) / rate)} left"
        print(f"{self.title}: step {step:,.0f} of {total:,}, {values}", flush=True)
