"""Which runs a user means: by directory, by name, or by a pattern of either such as ``'bn-s*'``."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from bnrepro.errors import UserError


def runs_folder() -> Path:
    """Return the runs directory: BNREPRO_RUNS, or runs/."""
    return Path(os.environ.get("BNREPRO_RUNS", "runs"))


def is_run(path: Path) -> bool:
    """Return whether this is the directory of a run."""
    return (path / "status.json").is_file()


def find_runs(names: Iterable[str | Path], runs: Path | None = None) -> list[Path]:
    """Return the directories of the runs that are named, in this order; those of one pattern are sorted by name.

    Args:
        names: paths, names of runs, or patterns. A path is returned as it is, whether there is a run or not.
        runs: the runs directory, which is searched for names; by default `runs_folder`.
    """
    folder, directories = runs or runs_folder(), []
    for name in map(str, names):
        if Path(name).exists():
            directories.append(Path(name))
        elif glob.has_magic(name):
            matches = sorted(path for path in map(Path, glob.glob(name)) if is_run(path))
            matches = matches or sorted(path for path in folder.glob(name) if is_run(path))
            if not matches:
                raise UserError(f"no run is called {name} here or in {folder}; python scripts/status.py lists the runs")
            directories += matches
        else:
            directories.append(folder / name if is_run(folder / name) else Path(name))
    return directories
