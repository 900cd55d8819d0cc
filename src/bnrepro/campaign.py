"""A figure's variants on one card: so many runs side by side, stopped before a time limit, taken up by the next call.

Each run is a worker process with a run directory of its own, as in a parallel sweep of ``scripts/train.py``: what has
ended is left out, what is partial goes on from its checkpoint.
"""

import csv
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO

from hydra import compose, initialize_config_dir

from bnrepro import build, command_line, experiment, sweep
from bnrepro.errors import UserError
from bnrepro.outcome import INTERRUPTED
from bnrepro.records.files import write_atomically
from bnrepro.records.run import ENDED, RECORD_FILES
from bnrepro.side_by_side import STOPPED, Job, train
from bnrepro.status import describe
from bnrepro.validation import typed

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
OPTIONS = ("experiment", "seed", "seeds", "scale", "device")  # which a campaign has options of its own for
TOP1 = ("val/top1", "tune/top1")  # columns of metrics.csv


def plan(words: list[str], seeds: str, scale: str, device: str) -> list[Job]:
    """Every run of the campaign, seed by seed, so that a figure with one seed is complete as early as it can be.

    Args:
        words: experiments, and ``key=value`` overrides of all of them; several values make a run each.
        seeds: as Hydra sweeps them: ``0,1,2``.
        scale: of all runs.
        device: of all runs.

    Raises:
        UserError, HydraException, OmegaConfBaseException: something cannot be run; nothing has been started.
    """
    overrides = [word for word in words if "=" in word]
    experiments = [word for word in words if "=" not in word]
    for word in overrides:
        if word.split("=")[0].lstrip("+~") in OPTIONS:
            raise UserError(f"{word}: name experiments without experiment=, and use --seeds, --scale and --device")
    if not experiments:
        raise UserError("which experiments? name at least one, as figure2/bn_x5")
    chosen = [f"seed={seeds}", f"experiment={','.join(experiments)}", f"scale={scale}", f"device={device}"]
    command_line.check([*chosen, *overrides], CONFIGS)
    jobs = {}
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for job in sweep.jobs([*chosen, *overrides]):
            composed = compose("train", job)
            config = typed(composed)
            (name,) = experiment.names(config)
            jobs[name] = Job(name, composed, config, job)
    found = list(jobs.values())
    build.device(found[0].config)
    return found


def deadline(minutes: float, grace: float) -> Callable[[], float]:
    """Counts the seconds that are left from now on.

    Raises:
        UserError: so few that no run would be begun.
    """
    if not 60 * minutes > 2 * grace >= 0:
        raise UserError(
            f"--minutes {minutes:g} leaves no time to train: it must be more than twice --grace {grace:g} s"
        )
    until = time.monotonic() + 60 * minutes
    return lambda: until - time.monotonic()


def run(jobs: list[Job], side_by_side: int, left: Callable[[], float], grace: float, out: Path | None) -> int:
    """Train what is missing, pack the records into ``out``, and say how every run stands.

    See `train` for the arguments. Returns the exit code: 0 if nothing failed, whether or not something is left to do.

    Raises:
        UserError: an argument cannot be used; nothing has been started.
    """
    if side_by_side < 1:
        raise UserError(f"--side-by-side {side_by_side} must be at least 1")
    if out and not out.parent.is_dir():
        raise UserError(f"no folder {out.parent} to pack {out.name} into")
    todo = in_order(jobs)
    before = f"{len(jobs)} runs, {len(jobs) - len(todo)} of them ended before"
    print(f"campaign: {before}; {side_by_side} side by side{_minutes(left())}", flush=True)
    config = jobs[0].config
    folder = Path(config.runs_dir) / ".sweeps" / f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    words = sorted({word for job in jobs for word in job.overrides})
    sweep.write_plan(folder, [job.name for job in jobs], words, config.publish)

    def tell(running: list[Job], waiting: int) -> None:
        say(running)
        print(f"campaign: {len(running)} running, {waiting} to begin{_minutes(left())}", flush=True)

    codes, signalled = train(todo, side_by_side, left, grace, folder, tell)
    say(jobs)
    if out:
        print(f"campaign: {pack(jobs, out)} records packed into {out}")
    states = {job.name: describe(job.directory.path)["state"] for job in jobs}
    print("campaign:", ", ".join(f"{count} {which}" for which, count in sorted(Counter(states.values()).items())))
    failed = [job for job in jobs if codes.get(job.name, 0) not in (0, *STOPPED)]
    for job in failed:
        print(f"failed: {job.name} ({job.directory.status().get('error') or f'exit code {codes[job.name]}'})")
    lacking = [name for name, which in states.items() if which not in ENDED]
    if lacking:
        print(f"left: {', '.join(lacking)}; the same command goes on", flush=True)
    return INTERRUPTED if signalled else int(bool(failed))


def in_order(jobs: list[Job]) -> list[Job]:
    """The runs that have not ended, in the order in which to begin them."""

    # Only a run that has ended is a result: when time runs out for good, all that the open runs have trained is lost.
    # So no run is opened while another could go on, and the one with the fewest steps left goes first. The others
    # follow as planned; with the shortest first, the longest would be alone on the card in the end.
    def steps_left(job: Job) -> float:
        status = job.directory.status()
        return status["steps"] - status["step"] if status.get("step") else float("inf")

    return sorted((job for job in jobs if not job.directory.ended()), key=steps_left)


def say(jobs: list[Job]) -> None:
    """A line a run: name, state, step, top-1 at its last evaluation, seconds of training."""
    for job in jobs:
        found = describe(job.directory.path)
        step = f"{found['step']:,}/{found['steps']:,}" if found["steps"] else ""
        seconds = f"{found['seconds']:.0f} s" if found["seconds"] else ""
        top1 = _last_top1(job.directory.path / "metrics.csv")
        print(f"{job.name:<36} {found['state']:<11} {step:>15} {top1:>7} {seconds:>8}", flush=True)


def _last_top1(path: Path) -> str:
    if not path.is_file():
        return ""
    with open(path, newline="") as file:
        last = list(csv.DictReader(file))[-1:]
    return next((f"{float(row[name]):.4f}" for row in last for name in TOP1 if row.get(name)), "")


def _minutes(left: float) -> str:
    return "" if left == float("inf") else f", {max(0.0, left) / 60:.1f} minutes left"


def pack(jobs: list[Job], out: Path) -> int:
    """Put the small records of the runs that have ended into one tar, as <run>/<file>, and count them."""
    ended = [job for job in jobs if job.directory.ended()]

    def write(file: IO[bytes]) -> None:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for job in ended:
                for path in (job.directory.path / name for name in RECORD_FILES):
                    if path.exists():
                        tar.add(path, f"{job.name}/{path.name}")

    write_atomically(out, write)
    return len(ended)
