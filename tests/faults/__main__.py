"""``make faults``: crash points and kills of every scenario, then every attack; the exit code says whether all held."""

import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from faults.attack import SWEEP, Attack, NotHere  # noqa: E402
from faults.attacks import ATTACKS  # noqa: E402
from faults.harness import SCENARIOS, Scenario  # noqa: E402

KILLS = 5
NOT_THE_SAME, BROKEN = "runs that were not the same", "promises broken"


def crash_and_kill() -> Counter:
    """Print one row per scenario; return the numbers of crash points, of kills, and of runs that were not the same."""
    rng, total = random.Random(0), Counter()
    print("| scenario | crash points | kills | not the same run |\n| --- | --- | --- | --- |", flush=True)
    for name, words in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as folder:
            scenario = Scenario(words, Path(folder))
            crashed = scenario.crash_points(range(1, scenario.changes + 1))
            killed = scenario.kills(KILLS, rng)
        row = {"crash points": crashed.faults, "kills": 2 * killed.faults, NOT_THE_SAME: crashed.wrong + killed.wrong}
        total.update(row)
        print(f"| {name} |", *(f"{count} |" for count in row.values()), flush=True)
    return total


def attack(names: list[str]) -> Counter:
    """Print one row per attack; return the numbers of commands and files, and of promises that were broken."""
    total = Counter()
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
            total.update({"commands and files": attacked.tries, BROKEN: len(attacked.broken)})
            print(f"| {name} | {attacked.tries} | {len(attacked.broken)} |", *attacked.broken, sep="\n  ", flush=True)
    return total


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that small disks are unmounted
    chosen, known = sys.argv[1:], [work.__name__ for work in ATTACKS.values()]  # without names, everything
    if unknown := [name for name in chosen if name not in known]:
        sys.exit(f"no attack {', '.join(unknown)}; there are {', '.join(known)}")
    found = Counter() if chosen else crash_and_kill()
    found.update(attack(chosen))
    print("\nIn all:", ", ".join(f"{count} {what}" for what, count in found.items()))
    sys.exit(bool(found[NOT_THE_SAME] + found[BROKEN]))
