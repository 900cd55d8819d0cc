"""Where a record comes from: commit, versions, hardware, and the command that was typed."""

import os
import platform
import shlex
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bnrepro.config.schema import Config, walk

FOLDERS = ("data.root", "root", "runs_dir", "results_dir", "out")
_UNSHOWN = {key for key, field, _ in walk(Config()) if not field.metadata.get("identity", True)} | {"hydra", "sweep"}
_PACKAGES = ("torch", "numpy", "pillow", "simplejpeg", "hydra-core", "omegaconf", "wandb")


def _git(*arguments: str) -> str | None:
    """Return what git prints, or None. It takes no lock, which a run that is killed would leave in the repository."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    """Return the processor's name, which the platform module does not know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    """Return a package's version, or None if it is not installed; a run may need neither W&B nor the JPEG decoder."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def provenance() -> dict[str, Any]:
    """Return the commit (and whether tracked files differ from it), Python and package versions, and hardware.

    For a copy without git, BNREPRO_COMMIT names the commit.
    """
    named = os.environ.get("BNREPRO_COMMIT")
    changed = None if named else _git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": named or _git("rev-parse", "HEAD"),
        "commit_dirty": None if changed is None else bool(changed),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def typed_command(script: str, overrides: list[str]) -> str:
    """Return the command that started a Hydra app, without the folders of this machine."""
    kept = [override for override in overrides if override.split("=")[0] not in FOLDERS]
    return f"python scripts/{script}.py {shlex.join(kept)}".rstrip()


def varied(command: str) -> str:
    """Return the overrides of a record's command that say what its run is, beside experiment, scale and seed."""
    shown = []
    for word in (word.lstrip("+") for word in shlex.split(command)[2:] if "=" in word):
        key = word.split("=")[0]
        section = key.replace("/", ".").split(".")[0]
        if key not in _UNSHOWN and (section == "scale" or section not in _UNSHOWN):  # scale.mnist.steps=9 is news
            shown.append(word)
    return " ".join(shown)


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
