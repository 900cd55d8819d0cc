"""Records read back from W&B, as the same files that a run leaves on disk: ``wandb:entity/project``.

The record that a run kept there as an artifact is downloaded once. Of a run without one the full history is read (never
the sampled one), which has no probes.
"""

import csv
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bnrepro.errors import UserError
from bnrepro.records.files import write_json, write_text
from bnrepro.records.run import ENDED
from bnrepro.tracking import wandb_setup

PREFIX = "wandb:"
MARK = ".version"  # in a downloaded record: the artifact's digest, or how far the history went
COLUMNS = ("epoch", "seconds", "lr")  # of metrics.csv, besides step and what begins as follows
KINDS = ("train/", "val/", "tune/")
NOT_IN_A_RECORD = ("runs_dir", "results_dir", "commit", "command", "lr", "l2", "_wandb")


def is_wandb(source: Path | str) -> bool:
    """Whether records are asked of W&B."""
    return str(source).startswith(PREFIX)


def fetch(source: Path | str, figure: str | None = None, scale: str | None = None) -> list[Path]:
    """The folders of the complete records of a W&B project, downloaded where they are not yet.

    Args:
        source: ``wandb:entity/project``, or ``wandb:project`` of one's own.
        figure: only of this figure.
        scale: only at this scale.

    Raises:
        UserError: there is no account, or no such project.
    """
    found = {}
    with _reading(source):
        for run in _runs(source, *(tag for tag in (figure, scale) if tag)):
            config = run.config
            if figure not in (None, config.get("figure")) or scale not in (None, config.get("scale", {}).get("name")):
                continue
            if re.fullmatch(r"[\w-]+", run.name or "") and (path := _record(run, _folder(source) / run.name)):
                found[run.name] = path
    return [found[name] for name in sorted(found)]


def fetch_evaluation(source: Path | str, name: str) -> Path:
    """The folder of the last evaluation of this name (see `bnrepro.use.evaluate`), downloaded where it is not yet.

    Raises:
        UserError: there is none, no account, or no such project.
    """
    with _reading(source):
        kept = [one for run in _runs(source, name) for one in run.logged_artifacts() if one.type == "evaluation"]
        if kept:
            return _downloaded(_folder(source) / "evaluations" / name, kept[-1].digest, partial(_download, kept[-1]))
    raise UserError(f"{source} has no evaluation {name}; run, where its runs are: python scripts/evaluate.py")


@contextmanager
def _reading(source: Path | str) -> Iterator[None]:
    """Turn what goes wrong with W&B into one line."""
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
    return _runs_dir() / "wandb" / ".records" / _project(source).replace("/", "--")


def _runs_dir() -> Path:
    return Path(os.environ.get("BNREPRO_RUNS", "runs"))


def _runs(source: Path | str, *tags: str) -> Iterable[Any]:
    """The runs of a project that have all of these tags, oldest first."""
    project, wanted = _project(source), [{"tags": {"$in": [tag]}} for tag in tags]
    api = wandb_setup.api(_runs_dir())
    return api.runs(project, filters={"$and": wanted} if wanted else {}, order="+created_at", lazy=False)


def _record(run: Any, path: Path) -> Path | None:
    """One run's record in ``path``, downloaded if it has changed; None for a run that has not ended."""
    kept = [artifact for artifact in run.logged_artifacts() if artifact.type == "record"]
    summary = {key: run.summary[key] for key in run.summary.keys()}  # noqa: SIM118 (W&B's summary is no dict)
    if kept:
        return _downloaded(path, kept[-1].digest, partial(_download, kept[-1]))
    if summary.get("state") in ENDED:
        return _downloaded(path, f"history to {summary['step']}", partial(_from_history, run, summary))
    return None


def _downloaded(path: Path, version: str, write: Callable[[Path], Any]) -> Path:
    """``path`` with what ``write`` puts into a folder, unless this version is there."""
    if (path / MARK).is_file() and (path / MARK).read_text() == version:
        return path
    staged = path.with_name(f".new.{path.name}.{os.getpid()}")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        write(staged)
        (staged / MARK).write_text(version)
        shutil.rmtree(path, ignore_errors=True)
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return path


def _download(artifact: Any, folder: Path) -> None:
    artifact.download(root=str(folder), skip_cache=True)  # else W&B keeps a second copy


def _from_history(run: Any, summary: dict[str, Any], folder: Path) -> None:
    """config.yaml, status.json and metrics.csv of a run that kept no record."""
    config = {key: value for key, value in run.config.items() if key not in NOT_IN_A_RECORD}
    config["data"] = {key: value for key, value in config.get("data", {}).items() if key != "root"}
    write_text(folder / "config.yaml", yaml.safe_dump(config | {"seeds": None}))
    status = {key: value for key, value in summary.items() if "/" not in key and not key.startswith("_")}
    status["final"] = {key.removeprefix("final/"): value for key, value in summary.items() if key.startswith("final/")}
    status |= {"name": run.name, "group": run.group, "wandb_id": run.id}
    status |= {key: run.config.get(key) for key in ("seed", "variant", "experiment", "commit", "command")}
    write_json(folder / "status.json", {key: value for key, value in status.items() if value is not None})
    rows = [row for row in run.scan_history() if any(key.startswith(KINDS) and row[key] is not None for key in row)]
    names = dict.fromkeys(key for row in rows for key in row if key in COLUMNS or key.startswith(KINDS))
    if not rows:
        return
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", *names])
        writer.writerows([row["_step"], *(row.get(name) for name in names)] for row in rows)
