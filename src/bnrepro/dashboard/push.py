"""Sending the workspace and the report to W&B; sent again, they are brought up to date."""

from pathlib import Path
from typing import Any

from bnrepro.dashboard import panels, specification
from bnrepro.dashboard.overview import Overview
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_json
from bnrepro.tracking import wandb_setup

SENT = ".dashboard.json"  # in <runs>/wandb: which workspace and report are ours


def push(overview: Overview, project: str, entity: str | None, runs_dir: Path, fresh: bool = False) -> list[str]:
    """Log the overview and save workspace and report.

    Args:
        overview: what is logged as a run.
        project: W&B's.
        entity: the account's own if not given.
        runs_dir: remembers in ``wandb/.dashboard.json`` what was sent before.
        fresh: make new ones instead.

    Returns:
        the addresses of both.
    """
    if wandb_setup.resolve_mode("auto") != "online":
        raise UserError(f"{wandb_setup.NO_ACCOUNT}. Without one: make dashboard")
    memory = runs_dir / "wandb" / SENT
    try:
        entity = entity or wandb_setup.api(runs_dir).default_entity
        sent = {} if fresh or not memory.is_file() else read_json(memory).get(f"{entity}/{project}", {})
        overview.log(runs_dir, "online", project, entity)
        sections = panels.sections(overview.id, overview.keys)
        workspace = specification.workspace(entity, project, sections)
        workspace._internal_name, workspace._internal_id = sent.get("workspace", ("", ""))
        workspace.save()
        report = specification.report(entity, project, sections, overview.ledger)
        report.id = sent.get("report", "")
        report.save()
    except UserError:
        raise
    except Exception as error:  # the client raises many kinds, of the network, of the account and of the project
        raise UserError(f"W&B did not take the dashboard: {type(error).__name__}: {error}".splitlines()[0]) from None
    memory.parent.mkdir(parents=True, exist_ok=True)
    memories: dict[str, Any] = read_json(memory) if memory.is_file() else {}
    memories[f"{entity}/{project}"] = {
        "workspace": [workspace._internal_name, workspace._internal_id],
        "report": report.id,
    }
    write_json(memory, memories)
    return [workspace.url, report.url]
