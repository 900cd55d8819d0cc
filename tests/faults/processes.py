"""Attacks on processes: kills of a preparation and of a sweep's parent, two preparations and two launches at once."""

import gzip
import random
import time
from pathlib import Path

from bnrepro.records.files import read_json
from faults.attack import MNIST, SWEEP, Attack


def _preparation(attack: Attack) -> tuple[Path, tuple[str, ...]]:
    """Return the folder and the command of a preparation of MNIST from files that are packed in another way."""
    root, source = attack.folder / "mnist", attack.folder / "source"
    source.mkdir()
    for path in MNIST.glob("*.gz"):
        (source / path.name).write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    return root, ("prepare_data.py", "mnist", "--source", str(source), "--root", str(root))


def _is_whole(attack: Attack, root: Path) -> None:
    attack.works("prepare_data.py", "mnist", "--root", str(root))
    attack.check(len(list(root.iterdir())) == 4, f"litter: {sorted(path.name for path in root.iterdir())}")


def two_preparations(attack: Attack) -> None:
    """Two preparations of one data set at once: both end well, and it is whole."""
    root, words = _preparation(attack)
    processes = [attack.start(*words) for _ in range(2)]
    for process in processes:
        attack.tries += 1
        output = process.communicate(timeout=600)[0]
        attack.check(process.returncode == 0, output)
    _is_whole(attack, root)


def killed_preparation(attack: Attack) -> None:
    """Ten kills while a data set is put in its place, over one that is there; then it is whole."""
    rng, (root, words) = random.Random(0), _preparation(attack)
    attack.works(*words)
    began = time.monotonic()
    attack.works(*words)
    seconds = time.monotonic() - began
    for _ in range(10):
        process = attack.start(*words)
        time.sleep(rng.uniform(0.3, 1) * seconds)
        process.kill()
        process.communicate()
    attack.works(*words)
    _is_whole(attack, root)


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
