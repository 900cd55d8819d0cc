"""Hostile surroundings and inputs: after each, nothing is lost, and a script that cannot go on ends in one line."""

import gzip
import io
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bnrepro.cli.predict import SHIPPED
from bnrepro.data.mnist import FILES, read_idx
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_json
from conftest import ROOT
from faults.harness import QUIET, SMOKE
from launches import assert_same_run

MNIST = ROOT / "data" / "mnist"
RUN = ("train.py", "experiment=figure1/bn", *SMOKE, *QUIET)
SWEEP = ("train.py", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *RUN[1:], "seed=0,1")


class Attack:
    """One kind of attack: its folder, how often it was tried, and which promises were broken.

    Args:
        folder: where it can do as it likes.
        straight: the runs directory in which nothing disturbed `SWEEP`.
    """

    def __init__(self, folder: Path, straight: Path):
        self.folder, self.straight = folder, straight
        self.tries, self.broken = 0, list[str]()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        self.environment = kept | {"WANDB_MODE": "disabled", "HOME": str(folder)}

    def start(self, script: str, *words: str, runs: Path | None = None, limits=(), without=(), **changes: str):
        """Start a script.

        Args:
            script: in scripts/.
            words: of its command line.
            runs: the runs directory.
            limits: pairs of a resource and its limit.
            without: variables to leave out of the environment.
            changes: of the environment.
        """
        environment = self.environment | {"BNREPRO_RUNS": str(runs or self.folder / "runs")} | changes
        return subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / script), *words],
            cwd=ROOT,
            env={name: value for name, value in environment.items() if name not in without},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            preexec_fn=lambda: [resource.setrlimit(kind, (limit, limit)) for kind, limit in limits],
        )

    def run(self, *words: str, **options) -> tuple[int, str]:
        """Run a script to its end; its exit status and what it printed."""
        process = self.start(*words, **options)
        output = process.communicate(timeout=600)[0]
        return process.returncode, output

    def check(self, holds: bool, complaint: str) -> None:
        """Note a promise that is broken."""
        if not holds:
            self.broken.append(complaint)

    def works(self, *words: str, **options) -> str:
        """A script has to do its work."""
        self.tries += 1
        status, output = self.run(*words, **options)
        self.check(status == 0, f"{' '.join(words)}: exit status {status}: {output}")
        return output

    def is_refused(self, *words: str, **options) -> None:
        """A script has to end in one line and a non-zero exit status."""
        self.tries += 1
        status, output = self.run(*words, **options)
        lines = [line for line in output.splitlines() if line.strip()]
        if "-m" in words:  # a sweep says first what it has, then what failed, and then how to go on
            in_order = status > 0 and "Traceback" not in output and lines[-1].startswith(("go on with", "error: "))
        else:
            in_order = status > 0 and len(lines) == 1 and "Traceback" not in output
        self.check(in_order, f"{' '.join(words)}: exit status {status}: {output}")

    def is_same(self, runs: Path) -> None:
        """The runs have to be what nothing disturbed."""
        for record in runs.glob("bn-s*"):
            try:
                assert read_json(record / "status.json")["state"] == "finished"
                assert not list(record.glob(".*.tmp"))
                assert_same_run(self.straight / record.name, record)
            except (AssertionError, UserError, OSError) as error:
                self.broken.append(f"{record}: {type(error).__name__}: {error}")


class NotHere(Exception):
    """This machine does not let anybody mount a disk."""


@contextmanager
def disk(place: Path, kilobytes: int, options: str = "rw") -> Iterator[Callable[[], None]]:
    """A small disk in memory; what is yielded makes it large and writable."""
    place.mkdir(parents=True, exist_ok=True)
    if shutil.which("mount") is None or os.geteuid() != 0:
        raise NotHere
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,{options}", "tmpfs", place], capture_output=True
    )
    if mounted.returncode:
        raise NotHere
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,rw,size=200m", place], check=True)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def full_disk(attack: Attack) -> None:
    """The disk of the runs is full at several points of a run; with space, the same command goes on."""
    size = sum(path.stat().st_size for path in next(attack.straight.glob("bn-s0-*")).iterdir()) // 1024
    for k, share in enumerate((0.02, 0.5, 1.2)):
        runs = attack.folder / f"disk{k}"
        with disk(runs, max(8, int(share * size))) as grow:
            attack.is_refused(*RUN, runs=runs)
            grow()
            attack.works(*RUN, runs=runs)
            attack.is_same(runs)


def full_disk_of_a_sweep(attack: Attack) -> None:
    """The same for a sweep of two, whose own files find no place either."""
    size = sum(path.stat().st_size for path in next(attack.straight.glob("bn-s0-*")).iterdir()) // 1024
    for k, share in enumerate((0.01, 1.5)):
        runs = attack.folder / f"disk{k}"
        with disk(runs, max(4, int(share * size))) as grow:
            attack.is_refused(*SWEEP, runs=runs)
            grow()
            attack.works(*SWEEP, runs=runs)
            attack.is_same(runs)


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
            ("dashboard.py", "--runs", str(place), "log"),
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


def _tar(path: Path, *members: tuple[str, bytes, str, bytes]) -> None:
    """Write a tar of members: name, type, link's target, contents."""
    with tarfile.open(path, "w") as archive:
        for name, kind, target, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, len(content)
            archive.addfile(member, io.BytesIO(content))


def hostile_archives(attack: Attack) -> None:
    """Archives with members outside, links, devices, passwords, torn ends, and a bomb on a small disk."""
    victim = attack.folder / "victim"
    victim.write_text("mine")
    plain, link, hard = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
    tars = {
        "upwards": [("../../../victim", plain, "", b"theirs")],
        "absolute": [(str(victim), plain, "", b"theirs")],
        "link": [("train/n01/out", link, str(victim), b""), ("train/n01/out", plain, "", b"theirs")],
        "linked folder": [("train", link, str(attack.folder), b""), ("train/victim", plain, "", b"theirs")],
        "hard link": [("train/n01/a.JPEG", hard, str(victim), b"")],
        "device": [("train/n01/a.JPEG", tarfile.CHRTYPE, "", b"")],
        "pipe": [("train/n01/a.JPEG", tarfile.FIFOTYPE, "", b"")],
    }
    sources = []
    for name, members in tars.items():
        sources.append(attack.folder / f"{name}.tar")
        _tar(sources[-1], *members)
    for name, member in (("upwards", "../../../victim"), ("absolute", str(victim))):
        sources.append(attack.folder / f"{name}.zip")
        with zipfile.ZipFile(sources[-1], "w") as archive:
            archive.writestr(member, "theirs")
    torn = attack.folder / "torn.zip"
    with zipfile.ZipFile(torn, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a.JPEG", random.Random(0).randbytes(10_000))
    content = bytearray(torn.read_bytes())
    content[2000:2010] = b"0123456789"
    torn.write_bytes(content)
    locked = attack.folder / "locked.zip"
    content = bytearray(torn.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1  # says that it is encrypted
    locked.write_bytes(content)
    for k, source in enumerate([*sources, torn, locked]):
        for data in ("tiny_imagenet", "imagenet"):
            root = attack.folder / f"{data}{k}"
            attack.is_refused("prepare_data.py", data, "--source", str(source), "--root", str(root))
            attack.check(victim.read_text() == "mine" and victim.stat().st_nlink == 1, f"{source}: wrote outside")
            attack.check(not [p for p in root.rglob("*") if p.is_symlink()], f"{source}: left a link")
    bomb = attack.folder / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("train/a.JPEG", "w") as member:
        for _ in range(200):
            member.write(bytes(1_000_000))
    with disk(attack.folder / "disk", 20_000):
        root = attack.folder / "disk" / "tiny"
        attack.is_refused("prepare_data.py", "tiny_imagenet", "--source", str(bomb), "--root", str(root))
        left = shutil.disk_usage(root.parent).used
        attack.check(left < 100_000, f"{left} bytes of the bomb are left")


def lying_headers(attack: Attack) -> None:
    """Idx files whose headers lie, are cut, or unpack to far more than they say."""
    rng = random.Random(0)
    good = gzip.decompress((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes())
    path = attack.folder / "labels.gz"

    def refused(packed: bytes, axes: int) -> None:
        attack.tries += 1
        path.write_bytes(packed)
        try:
            array = read_idx(path, axes, FILES["t10k-labels-idx1-ubyte.gz"][1])
            attack.check(axes == 1 and np.array_equal(array, np.frombuffer(good[8:], np.uint8)), "took a lie")
        except UserError as error:
            attack.check("\n" not in str(error), str(error))
        except Exception as error:
            attack.broken.append(f"{type(error).__name__}: {error}")

    for _ in range(100):
        header = bytearray(good[:8])
        header[rng.randrange(8)] = rng.randrange(256)
        refused(gzip.compress(bytes(header) + good[8:], 1), rng.choice([1, 3]))
        refused(gzip.compress(good[: rng.randrange(len(good))], 1), 1)
    for shape in ((2**32 - 1,) * 3, (0, 0, 0), (2**31, 2, 1)):
        refused(gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape) + good[8:]), 3)
    packed = gzip.compress(bytes(50_000_000), 9) * 40  # two gigabytes in two megabytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(packed, 3)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    attack.check(grown < 500_000, f"a file of {len(packed):,} bytes took {grown:,} KB of memory")


def html_in_records(attack: Attack) -> None:
    """What records and the ledger say is text on the page, whatever it looks like."""
    results = attack.folder / "results"
    shutil.copytree(ROOT / "results", results, symlinks=True)
    shutil.copytree(ROOT / "configs" / "claims", attack.folder / "configs" / "claims")
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    for path in sorted(results.glob("figure*/*/runs/*/status.json")):
        write_json(path, read_json(path) | {"command": evil, "commit": evil, "processor": evil, "experiment": evil})
    rows = read_json(results / "claims.json")
    for row in rows:
        row |= {key: evil for key in ("ours", "rule", "note", "paper") if isinstance(row.get(key), str)}
    write_json(results / "claims.json", rows)
    attack.works("report.py", "site", "--results", str(results), "--out", str(attack.folder / "out"))
    page = (attack.folder / "out" / "index.html").read_text()
    attack.check("alert(1)" in page, "the page shows nothing of it")
    attack.check("<script>alert(1)" not in page and "<img src=x" not in page, "the page executes what a record says")


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


def killed_preparation(attack: Attack) -> None:
    """Ten kills while a data set is put in its place, over one that is there; then it is whole."""
    rng, root = random.Random(0), attack.folder / "mnist"
    source = attack.folder / "source"
    source.mkdir()
    for path in MNIST.glob("*.gz"):
        (source / path.name).write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    words = ("prepare_data.py", "mnist", "--source", str(source), "--root", str(root))
    attack.works(*words)
    began = time.monotonic()
    attack.works(*words)
    seconds = time.monotonic() - began
    for _ in range(10):
        process = attack.start(*words)
        time.sleep(rng.uniform(0.3, 1) * seconds)
        process.kill()
        process.communicate()
    attack.works("prepare_data.py", "mnist", "--root", str(root))
    attack.works(*words)
    attack.check(len(list(root.iterdir())) == 4, f"litter: {sorted(path.name for path in root.iterdir())}")


def killed_parent(attack: Attack) -> None:
    """The process of a sweep alone is killed; its runs save and end, and the same command goes on."""
    words = [word.replace("mnist.steps=4", "mnist.steps=3000") for word in SWEEP] + ["checkpoint_seconds=0.5"]
    runs = attack.folder / "runs"
    process = attack.start(*words, runs=runs)
    while len(list(runs.glob("bn-s*/checkpoint.pt"))) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 120
    while "running" in (states := _states(runs)).values() and time.monotonic() < deadline:
        time.sleep(0.2)
    attack.check(set(states.values()) <= {"interrupted", "finished"}, f"after the kill: {states}")
    attack.works(*words, runs=runs)
    attack.check(set(_states(runs).values()) == {"finished"}, f"in the end: {_states(runs)}")


def _states(runs: Path) -> dict[str, str]:
    return {path.parent.name: read_json(path)["state"] for path in runs.glob("bn-s*/status.json")}


def two_launches(attack: Attack) -> None:
    """Two launches of one sweep at once share its runs, and both end well."""
    runs = attack.folder / "runs"
    processes = [attack.start(*SWEEP, runs=runs) for _ in range(2)]
    for process in processes:
        attack.tries += 1
        output = process.communicate(timeout=600)[0]
        attack.check(process.returncode == 0 and "sweep: 2 finished" in output, output)
    resumed = [read_json(path)["resumed"] for path in runs.glob("bn-s*/status.json")]
    attack.check(resumed == [[], []], f"runs were trained twice: {resumed}")
    attack.is_same(runs)


ATTACKS = {
    "a full disk under a run": full_disk,
    "a full disk under a sweep": full_disk_of_a_sweep,
    "a full disk under figures, page, exports, evaluations, data, records": full_disk_of_outputs,
    "a read-only disk": read_only_disk,
    "64 and 32 open files": few_descriptors,
    "no HOME, no TMPDIR, the POSIX locale": bare_environment,
    "spaces, unicode, quotes and brackets in paths": odd_paths,
    "archives with .., absolute names, links, devices, a bomb": hostile_archives,
    "idx files whose headers lie": lying_headers,
    "HTML in the text of records": html_in_records,
    "the clock set back nine years": clock_set_back,
    "ten kills of prepare_data": killed_preparation,
    "a sweep whose parent alone is killed": killed_parent,
    "two launches of one sweep at once": two_launches,
}
