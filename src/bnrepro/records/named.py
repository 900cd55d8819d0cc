"""Which runs a user means: a directory, a run's name, or a pattern such as ``'bn-s*'`` of either."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from bnrepro.errors import UserError


def runs_folder() -> Path:
    """The runs directory: BNREPRO_RUNS, or runs/."""
    return Path(os.environ.get("BNREPRO_RUNS", "runs"))


def is_run(path: Path) -> bool:
    """Whether this is the directory of a run."""
    return (path / "status.json").is_file()


def named(words: Iterable[str | Path], runs: Path | None = None) -> list[Path]:
    """The directories of the runs that are named, in this order, those that match one pattern by name.

    Args:
        words: paths, names of runs, or patterns. A path is given back as it is, whether there is a run or not.
        runs: the runs directory, where names are looked for; by default `runs_folder`.
    """
    folder, directories = runs or runs_folder(), []
    for word in map(str, words):
        if Path(word).exists():
            directories.append(Path(word))
        elif glob.has_magic(word):
            matching = sorted(path for path in map(Path, glob.glob(word)) if is_run(path))
            matching = matching or sorted(path for path in folder.glob(word) if is_run(path))
            if not matching:
                raise UserError(f"no run is called {word} here or in {folder}; python scripts/status.py lists the runs")
            directories += matching
        else:
            directories.append(folder / word if is_run(folder / word) else Path(word))
    return directories
