"""Records read back from W&B, as the same files that a run leaves on disk: ``wandb:entity/project``.

A run that has ended keeps its record there as an artifact, which is downloaded once.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bnrepro.errors import UserError
from bnrepro.records.named import runs_folder
from bnrepro.tracking import wandb_setup

PREFIX = "wandb:"
VERSION = ".version"  # a file in what was downloaded: the artifact's digest


def is_wandb(source: Path | str) -> bool:
    """Whether this names records in W&B."""
    return str(source).startswith(PREFIX)


def fetch(source: Path | str, figure: str | None = None, scale: str | None = None) -> list[Path]:
    """The folders of the complete records of a W&B project, downloaded where they are not yet.

    Args:
        source: ``wandb:entity/project``, or ``wandb:project`` of one's own.
        figure: only of this figure.
        scale: only at this scale.
    """
    records = {}
    with _errors_in_one_line(source):
        for run in _runs(source, *(tag for tag in (figure, scale) if tag)):
            if figure not in (None, run.config.get("figure")):
                continue
            if scale not in (None, run.config.get("scale", {}).get("name")):
                continue
            kept = _artifacts(run, "record")
            if kept and re.fullmatch(r"[\w-]+", run.name or ""):
                records[run.name] = _downloaded(kept[-1], _folder(source) / run.name)
    return [records[name] for name in sorted(records)]


def fetch_evaluation(source: Path | str, name: str) -> Path:
    """The folder of the last evaluation of this name (see `bnrepro.use.evaluate`), downloaded where it is not yet."""
    with _errors_in_one_line(source):
        kept = [artifact for run in _runs(source, name) for artifact in _artifacts(run, "evaluation")]
        if kept:
            return _downloaded(kept[-1], _folder(source) / "evaluations" / name)
    raise UserError(f"{source} has no evaluation {name}; run, where its runs are: python scripts/evaluate.py")


@contextmanager
def _errors_in_one_line(source: Path | str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client raises many kinds, of the network, of the account and of the project
        raise UserError(f"cannot read {source} from W&B: {error}".splitlines()[0]) from None


def _project(source: Path | str) -> str:
    project = str(source).removeprefix(PREFIX)
    if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", project):
        raise UserError(f"cannot read {source}; write wandb:entity/project")
    return project


def _folder(source: Path | str) -> Path:
    """Where what is downloaded of a project is kept."""
    return runs_folder() / "wandb" / ".records" / _project(source).replace("/", "--")


def _runs(source: Path | str, *tags: str) -> Iterable[Any]:
    """The runs of a project that have all of these tags, oldest first."""
    project, filters = _project(source), [{"tags": {"$in": [tag]}} for tag in tags]
    api = wandb_setup.api(runs_folder())
    return api.runs(project, filters={"$and": filters} if filters else {}, order="+created_at", lazy=False)


def _artifacts(run: Any, kind: str) -> list[Any]:
    return [artifact for artifact in run.logged_artifacts() if artifact.type == kind]


def _downloaded(artifact: Any, path: Path) -> Path:
    """``path`` with the artifact's files, downloaded unless they are there."""
    if (path / VERSION).is_file() and (path / VERSION).read_text() == artifact.digest:
        return path
    staged = path.with_name(f".new.{path.name}.{os.getpid()}")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        artifact.download(root=str(staged), skip_cache=True)  # else W&B keeps a second copy
        (staged / VERSION).write_text(artifact.digest)
        shutil.rmtree(path, ignore_errors=True)
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return path
