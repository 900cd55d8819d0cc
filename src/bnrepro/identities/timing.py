"""Timing side by side."""

from collections.abc import Callable


def alternate(work: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every measurement once per round, in turn, so that a slow spell of the machine falls on all alike."""
    values: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, measure in work.items():
            values[name].append(measure())
    return values
