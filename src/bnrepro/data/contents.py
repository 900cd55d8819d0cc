"""What identifies the images in folders: their names and bytes, read once and remembered beside them."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.progress import track

from bnrepro.records.files import read_json, write_json

MEMORY = ".contents.json"  # by class: its state on disk when it was read, and the digest


def _state(paths: list[Path]) -> str:
    """Names, sizes and times: what changes when a file does."""
    stats = [(path.name, path.stat()) for path in paths]
    return hashlib.sha256(repr([(name, s.st_size, s.st_mtime_ns) for name, s in stats]).encode()).hexdigest()


def _digest(paths: list[Path]) -> str:
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


def digests(root: Path, classes: dict[str, list[Path]]) -> list[str]:
    """A digest of each class's files, in their order; files that have not changed since they were read are not read."""
    memory = root / MEMORY
    known = read_json(memory) if memory.is_file() else {}
    states = {name: _state(paths) for name, paths in classes.items()}
    changed = [name for name, state in states.items() if known.get(name, ["", ""])[0] != state]
    if changed:
        with ThreadPoolExecutor() as pool:
            computed = pool.map(_digest, [classes[name] for name in changed])
            computed = list(track(computed, f"reading {root}, once", len(changed), transient=True))
        known |= {name: [states[name], digest] for name, digest in zip(changed, computed, strict=True)}
        try:
            write_json(memory, known)
        except OSError:
            advice = "every run reads all files again, until you prepare a cache: prepare_data.py imagenet --cache"
            print(f"cannot write to {root}: {advice}", file=sys.stderr)
    return [known[name][1] for name in classes]
