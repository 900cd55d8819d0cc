"""Runs that are killed at any instant, or crash before any change on disk, compared with runs that nothing stops."""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bnrepro.training import experiment
from bnrepro.training.validation import typed
from conftest import compose_config
from launches import assert_same_run

CHANGES = ("replace", "fsync", "unlink", "mkdir", "rename")  # of the module os: what changes a disk, or makes it last
CRASHED = 137
QUIET = ("logger.mode=disabled", "checkpoint_seconds=0")
SMOKE = ("scale=smoke", "scale.mnist.steps=4", "scale.imagenet.steps=2", "scale.imagenet.images_per_class=10")
SCENARIOS = {
    "the network of Figure 1": ("experiment=figure1/bn", *SMOKE),
    "published": ("experiment=figure1/bn", "publish=true", *SMOKE),
    "diverging": ("experiment=figure1/plain", "model.nonlinearity=relu", "optimizer.base_lr=1e4", *SMOKE),
    "Inception": ("experiment=figure2/bn_x5", "probe.batches=1", "evaluation.population_batches=2", *SMOKE),
}


@dataclass
class Count:
    """How many faults a scenario was given, and after how many it was not the same run."""

    faults: int = 0
    wrong: int = 0


class Scenario:
    """One launch, which nothing has stopped yet.

    Args:
        words: of the command line.
        folder: where its runs go.
    """

    def __init__(self, words: tuple[str, ...], folder: Path):
        self.words, self.folder = words, folder
        self.straight = self._config(folder / "straight")
        self.changes = self._launch(self.straight)

    def _config(self, place: Path):
        folders = (f"runs_dir={place / 'runs'}", f"results_dir={place / 'results'}")
        return typed(compose_config(*self.words, *QUIET, *folders))

    def _launch(self, config, crash_before: int = 0, kill_after: float = 0.0) -> int:
        """Train in a process of its own; the number of changes on disk.

        Args:
            config: of the launch.
            crash_before: the process ends before this change.
            kill_after: the process is killed after so many seconds.
        """
        counted = self.folder / "changes"
        pid = os.fork()
        if pid == 0:
            os._exit(_train(config, crash_before, counted))
        if kill_after:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, CRASHED, -signal.SIGKILL), f"{' '.join(self.words)}: exit code {code}"
        return int(counted.read_text()) if code == 0 else 0

    def crash_points(self, points: range) -> Count:
        """Crash before each of these changes, launch again, and compare."""
        return self._compare([lambda config, n=n: self._launch(config, crash_before=n) for n in points])

    def kills(self, times: int, rng: random.Random) -> Count:
        """Kill a launch at random instants until it ends by itself, so many times, and compare."""
        began = time.monotonic()
        self._launch(self._config(self.folder / "timed"))
        seconds = time.monotonic() - began

        def killed(config) -> None:
            for _ in range(2):
                self._launch(config, kill_after=rng.uniform(0, seconds))

        return self._compare([killed] * times)

    def _compare(self, faults: list[Callable]) -> Count:
        count = Count()
        for fault in faults:
            place = self.folder / "faulty"
            shutil.rmtree(place, ignore_errors=True)
            config = self._config(place)
            fault(config)
            self._launch(config)
            count.faults += 1
            try:
                self._assert_same(place)
            except AssertionError:
                traceback.print_exc()
                count.wrong += 1
        return count

    def _assert_same(self, place: Path) -> None:
        for part in ("runs", "results"):
            expected = sorted(path.parent for path in (self.folder / "straight" / part).rglob("status.json"))
            for record in expected:
                again = place / record.relative_to(self.folder / "straight")
                mine, theirs = (json.loads((r / "status.json").read_text()) for r in (record, again))
                for key in ("state", "final", "diverged_at", "step"):
                    assert mine.get(key) == theirs.get(key), (again, key)
                assert not list(again.glob(".*.tmp")), again
                if part == "runs" and mine["state"] == "finished":
                    assert_same_run(record, again)


def _train(config, crash_before: int, counted: Path) -> int:
    """Train in this process, which is a fork; its exit code."""
    made = 0

    def before(change: Callable) -> Callable:
        def counting(*arguments, **options):
            nonlocal made
            made += 1
            if made == crash_before:
                os._exit(CRASHED)
            return change(*arguments, **options)

        return counting

    for name in CHANGES:
        setattr(os, name, before(getattr(os, name)))
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        outcomes = experiment.run(config, "python scripts/train.py")
    except BaseException:
        traceback.print_exc()
        return 1
    with open(counted, "w") as file:
        file.write(str(made))
    return max(outcome.exit_code for outcome in outcomes)
