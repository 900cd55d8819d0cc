"""``make faults``: every crash point and many kills of every scenario; the exit code says whether all runs held."""

import random
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from faults.harness import SCENARIOS, Scenario  # noqa: E402

KILLS = 5


def main() -> int:
    """Print a row per scenario."""
    rng, wrong = random.Random(0), 0
    print("| scenario | crash points | kills | not the same run |\n| --- | --- | --- | --- |", flush=True)
    for name, words in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as folder:
            scenario = Scenario(words, Path(folder))
            crashed = scenario.crash_points(range(1, scenario.changes + 1))
            killed = scenario.kills(KILLS, rng)
        wrong += crashed.wrong + killed.wrong
        print(f"| {name} | {crashed.faults} | {2 * killed.faults} | {crashed.wrong + killed.wrong} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
