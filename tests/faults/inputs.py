"""Attacks by hostile inputs: archives, idx files, records."""

import gzip
import io
import random
import resource
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from bnrepro.data.mnist import FILES, read_idx
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_json
from conftest import ROOT
from faults.attack import MNIST, Attack, disk


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
