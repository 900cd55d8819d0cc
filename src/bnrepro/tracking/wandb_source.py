"""Records read back from W&B, as the same files that a run leaves on disk; the source is ``wandb:entity/project``.

A run that has ended keeps its record in W&B as an artifact. Each artifact is downloaded once.
"""

import re
from pathlib import Path
from typing import Any

from bnrepro.errors import UserError
from bnrepro.records.named import runs_folder
from bnrepro.tracking import wandb_setup
from bnrepro.tracking.wandb_setup import errors_in_one_line

PREFIX = "wandb:"
VERSION = ".version"  # the file, written last, that holds the digest of the artifact that was downloaded


def is_wandb(source: Path | str) -> bool:
    """Return whether a source names records in W&B."""
    return str(source).startswith(PREFIX)


def fetch(source: Path | str, figure: str | None = None, scale: str | None = None) -> list[Path]:
    """Return the folders of the complete records of a W&B project, and download those that are missing.

    Args:
        source: ``wandb:entity/project``, or ``wandb:project`` of the account's own.
        figure: if given, only the records of this figure.
        scale: if given, only the records at this scale.
    """
    artifacts = {}
    with errors_in_one_line(f"cannot read {source} from W&B"):
        for run, artifact in _artifacts(source, "record", *filter(None, (figure, scale))):
            same_figure = figure in (None, run.config.get("figure"))
            same_scale = scale in (None, run.config.get("scale", {}).get("name"))
            if same_figure and same_scale and re.fullmatch(r"\w[\w.-]*", run.name or ""):
                artifacts[run.name] = artifact
        return [_downloaded(artifacts[name], _folder(source) / name) for name in sorted(artifacts)]


def fetch_evaluation(source: Path | str, name: str) -> Path:
    """Return the folder of the last evaluation of this name (see `bnrepro.use.evaluate`), downloaded if missing."""
    with errors_in_one_line(f"cannot read {source} from W&B"):
        if artifacts := [artifact for _, artifact in _artifacts(source, "evaluation", name)]:
            return _downloaded(artifacts[-1], _folder(source) / "evaluations" / name)
    raise UserError(f"{source} has no evaluation {name}; run, where its runs are: python scripts/evaluate.py")


def _folder(source: Path | str) -> Path:
    """Return where the downloads of a project are kept."""
    return runs_folder() / "wandb" / ".records" / str(source).removeprefix(PREFIX).replace("/", "--")


def _artifacts(source: Path | str, kind: str, *tags: str) -> list[tuple[Any, Any]]:
    """Return every run of a project that has all tags, oldest first, with each artifact of one kind that it logged."""
    project = str(source).removeprefix(PREFIX)
    if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", project):
        raise UserError(f"cannot read {source}; write wandb:entity/project")
    filters = [{"tags": {"$in": [tag]}} for tag in tags]
    api = wandb_setup.api(runs_folder())
    runs = api.runs(project, filters={"$and": filters} if filters else {}, order="+created_at", lazy=False)
    return [(run, artifact) for run in runs for artifact in run.logged_artifacts() if artifact.type == kind]


def _downloaded(artifact: Any, folder: Path) -> Path:
    """Download an artifact's files into ``folder`` unless they are there, and return the folder."""
    version = folder / VERSION
    if not version.is_file() or version.read_text() != artifact.digest:
        folder.mkdir(parents=True, exist_ok=True)
        version.unlink(missing_ok=True)
        artifact.download(root=str(folder), skip_cache=True)  # else W&B keeps a second copy
        version.write_text(artifact.digest)
    return folder
