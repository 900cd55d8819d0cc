"""``make faults``: crash points and kills of every scenario, then every attack; the exit code says whether all held."""

import random
import signal
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from faults.attack import SWEEP, Attack, NotHere  # noqa: E402
from faults.attacks import ATTACKS  # noqa: E402
from faults.harness import SCENARIOS, Scenario  # noqa: E402

KILLS = 5


def crash_and_kill() -> int:
    """Print one row per scenario; return how many runs were not the same."""
    rng, wrong = random.Random(0), 0
    print("| scenario | crash points | kills | not the same run |\n| --- | --- | --- | --- |", flush=True)
    for name, words in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as folder:
            scenario = Scenario(words, Path(folder))
            crashed = scenario.crash_points(range(1, scenario.changes + 1))
            killed = scenario.kills(KILLS, rng)
        wrong += crashed.wrong + killed.wrong
        print(f"| {name} | {crashed.faults} | {2 * killed.faults} | {crashed.wrong + killed.wrong} |", flush=True)
    return wrong


def attack(names: list[str]) -> int:
    """Print one row per attack; return how many promises were broken."""
    broken = 0
    print("\n| attack | commands and files | promises broken |\n| --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as reference:
        straight = Path(reference) / "runs"
        Attack(Path(reference), straight).works(*SWEEP, runs=straight)
        for name, work in ATTACKS.items():
            if names and work.__name__ not in names:
                continue
            with tempfile.TemporaryDirectory() as folder:
                attacked = Attack(Path(folder), straight)
                try:
                    work(attacked)
                except NotHere:
                    print(f"| {name} | | nobody may mount a disk here |", flush=True)
                    continue
            broken += len(attacked.broken)
            print(f"| {name} | {attacked.tries} | {len(attacked.broken)} |", *attacked.broken, sep="\n  ", flush=True)
    return broken


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that small disks are unmounted
    chosen = sys.argv[1:]  # names of attacks; without any, everything
    sys.exit(bool((0 if chosen else crash_and_kill()) + attack(chosen)))
