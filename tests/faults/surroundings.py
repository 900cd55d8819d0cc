"""Attacks by hostile surroundings: disks, open files, environment, names of folders, the clock."""

import os
import random
import resource
import time

from bnrepro.cli.predict import SHIPPED
from faults.attack import MNIST, RUN, SWEEP, Attack, disk


def _fill_and_grow(attack: Attack, words: tuple[str, ...], shares: tuple[float, ...]) -> None:
    """Run a command on disks with room for a share of a run's files, then with space enough."""
    kilobytes = sum(path.stat().st_size for path in next(attack.straight.glob("bn-s0-*")).iterdir()) // 1024
    for k, share in enumerate(shares):
        runs = attack.folder / f"disk{k}"
        with disk(runs, max(4, int(share * kilobytes))) as grow:
            attack.is_refused(*words, runs=runs)
            grow()
            attack.works(*words, runs=runs)
            attack.is_same(runs)


def full_disk(attack: Attack) -> None:
    """The disk of the runs is full at several points of a run; with space, the same command goes on."""
    _fill_and_grow(attack, RUN, (0.02, 0.5, 1.2))


def full_disk_of_a_sweep(attack: Attack) -> None:
    """The same for a sweep of two, whose own files find no place either."""
    _fill_and_grow(attack, SWEEP, (0.01, 1.5))


def full_disk_of_outputs(attack: Attack) -> None:
    """Figures, pages, exported networks, evaluations, data sets and published records find no place."""
    run = next(attack.straight.glob("bn-s0-*"))
    commands = {
        "a figure": ("report.py", "figure1", "--out", "{}/out"),
        "the ledger": ("report.py", "claims", "--out", "{}/out"),
        "the page": ("report.py", "site", "--out", "{}/out"),
        "a network": ("export.py", str(SHIPPED), "--out", "{}/out"),
        "an evaluation": ("evaluate.py", str(run), "out={}/out"),
        "a data set": ("prepare_data.py", "mnist", "--source", str(MNIST), "--root", "{}/out"),
    }
    for k, words in enumerate(commands.values()):
        place = attack.folder / f"disk{k}"
        words = [word.format(place) for word in words]
        with disk(place, 4) as grow:
            attack.is_refused(*words)
            attack.check(not [path for path in place.rglob(".*.tmp") if path.is_file()], f"{place}: litter")
            grow()
            attack.works(*words)
    with disk(attack.folder / "results", 4) as grow:
        published = (*RUN, "publish=true", f"results_dir={attack.folder / 'results'}")
        attack.is_refused(*published)
        grow()
        attack.works(*published)
        attack.is_same(attack.folder / "runs")


def read_only_disk(attack: Attack) -> None:
    """Nothing can be written at all."""
    place = attack.folder / "disk"
    with disk(place, 100, "ro"):
        for words in (RUN, SWEEP):
            attack.is_refused(*words, runs=place)
        for words in (
            ("report.py", "figure1", "--out", str(place)),
            ("report.py", "figure1", "--out", f"{place}/out"),
            ("report.py", "site", "--out", f"{place}/out"),
            ("export.py", str(SHIPPED), "--out", f"{place}/out"),
            ("prepare_data.py", "mnist", "--source", str(MNIST), "--root", f"{place}/out"),
            ("benchmark.py", "mnist", "--out", f"{place}/out.json"),
        ):
            attack.is_refused(*words)
        attack.works("status.py", runs=place)


def few_descriptors(attack: Attack) -> None:
    """A process may have few files open."""
    for limit in (64, 32):
        runs = attack.folder / f"runs{limit}"
        attack.works(*RUN, runs=runs, limits=[(resource.RLIMIT_NOFILE, limit)])
        attack.is_same(runs)
    runs = attack.folder / "sweep"
    attack.works(*SWEEP, runs=runs, limits=[(resource.RLIMIT_NOFILE, 64)])
    attack.is_same(runs)


def bare_environment(attack: Attack) -> None:
    """Neither HOME nor TMPDIR is of use, and the locale is POSIX; W&B logs offline."""
    surroundings = (
        {"without": ("HOME",), "TMPDIR": "/nowhere", "LC_ALL": "C", "LANG": "C"},
        {"HOME": "/nowhere", "TMPDIR": "/nowhere", "LC_ALL": "POSIX"},
    )
    for k, options in enumerate(surroundings):
        runs = attack.folder / f"runs{k}"
        attack.works(*RUN, "logger.mode=offline", runs=runs, **options)
        attack.is_same(runs)
        attack.works("status.py", "--committed", runs=runs, **options)
        attack.works("report.py", "figure1", "--compare", "--out", str(runs / "out"), **options)
        attack.works("report.py", "claims", "--out", str(runs / "out"), **options)


def odd_paths(attack: Attack) -> None:
    """Spaces, accents, quotes, brackets and signs of Hydra's grammar in the names of folders."""
    for name in ("two words, läufe ± it's", "[a,b] {c} $d=e"):
        runs = attack.folder / name / "runs"
        attack.works(*RUN, runs=runs)
        attack.is_same(runs)
        run = next(runs.glob("bn-s0-*"))
        attack.works(*SWEEP, runs=runs)
        attack.works("status.py", runs=runs)
        attack.works("evaluate.py", str(run), runs=runs)
        attack.works("export.py", str(run), "--out", str(attack.folder / name / "export"))
        attack.works("report.py", "figure1", "--out", str(attack.folder / name / "out"))


def clock_set_back(attack: Attack) -> None:
    """The clock is years behind when an interrupted run and a sweep go on."""
    past = attack.folder / "past"
    past.mkdir()
    (past / "sitecustomize.py").write_text(
        "import datetime, time\nback, real, now = 3e8, time.time, datetime.datetime\n"
        "time.time = lambda: real() - back\n"
        "class Past(now):\n"
        "    @classmethod\n"
        "    def now(cls, tz=None):\n"
        "        return now.fromtimestamp(time.time(), tz)\n"
        "datetime.datetime = Past\n"
    )
    path = os.pathsep.join([str(past), *filter(None, [os.environ.get("PYTHONPATH")])])
    for seed in (0, 1):
        process = attack.start(*RUN, "logger.mode=offline", f"seed={seed}")
        time.sleep(random.Random(seed).uniform(4, 8))
        process.kill()
        process.communicate()
    attack.works(*RUN, "logger.mode=offline", PYTHONPATH=path)
    attack.works(*SWEEP, "logger.mode=offline", PYTHONPATH=path)
    attack.is_same(attack.folder / "runs")
    output = attack.works("status.py", PYTHONPATH=path)
    attack.check("still lacks: nothing" in output, output)
