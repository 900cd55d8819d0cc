"""The workspace and the report, and sending them to W&B; sent again, they are brought up to date."""

from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from bnrepro.analysis.claims import table
from bnrepro.analysis.claims.ledger import Row
from bnrepro.analysis.render.table import Table
from bnrepro.dashboard.overview import Overview
from bnrepro.dashboard.panels import BEST, Section, sections
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_json
from bnrepro.tracking import wandb_setup

TITLE = "Batch Normalization, reproduced"
COLUMNS = 24  # of a report's grid
SHAPES = {1: (24, 12), 2: (12, 10), 3: (8, 8)}  # width and height of a panel, by the number of panels in a row
SENT = ".dashboard.json"  # in <runs>/wandb: the ids of the workspace and the report that were sent, by project


def push(overview: Overview, project: str, entity: str | None, runs_dir: Path, fresh: bool = False) -> list[str]:
    """Log the overview, save the workspace and the report, and return the addresses of both.

    ``wandb/.dashboard.json`` in the runs directory remembers what was sent, and the same workspace and report are
    saved again, unless ``fresh`` asks for new ones.
    """
    if wandb_setup.resolve_mode("auto") != "online":
        raise UserError(f"{wandb_setup.NO_ACCOUNT}. Without one: make dashboard")
    path = runs_dir / "wandb" / SENT
    sent: dict[str, Any] = read_json(path, "move it away to send new ones") if path.is_file() else {}
    with wandb_setup.errors_in_one_line("W&B did not take the dashboard"):
        entity = entity or wandb_setup.api(runs_dir).default_entity
        ids = {} if fresh else sent.get(f"{entity}/{project}", {})
        overview.log(runs_dir, "online", project, entity)
        shown = sections(overview.id, overview.keys)
        page = workspace(entity, project, shown)
        page._internal_name, page._internal_id = ids.get("workspace", ("", ""))
        page.save()
        text = report(entity, project, shown, overview.ledger)
        text.id = ids.get("report", "")
        text.save()
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = {"workspace": [page._internal_name, page._internal_id], "report": text.id}
    write_json(path, sent | {f"{entity}/{project}": ids})
    return [page.url, text.url]


def _per_row(section: Section) -> int:
    return {1: 1, 2: 2, 4: 2}.get(len(section.panels), 3)


def workspace(entity: str, project: str, shown: list[Section]) -> ws.Workspace:
    """Return the project's page: every section, with the seeds of a configuration in one group."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=TITLE,
        sections=[
            ws.Section(
                name=section.name,
                panels=section.panels,
                is_open=k < 2,
                layout_settings=ws.SectionLayoutSettings(columns=_per_row(section), rows=2),
            )
            for k, section in enumerate(shown)
        ],
        settings=ws.WorkspaceSettings(x_axis="Step", max_runs=100, point_visualization_method="bucketing"),
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Metric("Group")],
            pinned_columns=["run:displayName", "summary:state", f"summary:{BEST}", "config:lr.value"],
        ),
    )


def report(entity: str, project: str, shown: list[Section], rows: list[Row]) -> wr.Report:
    """Return the page to read: a text, each section's panels over its own runs, and the ledger's rows."""
    empirical = table.of_kind(rows, "empirical")
    counts = ", ".join(f"{len(ids)} {verdict}" for verdict, ids in table.counts(empirical).items())
    text = f"Ioffe & Szegedy 2015, every figure and claim measured. Of {len(empirical)} empirical claims: {counts}."
    blocks: list[Any] = [wr.P(text), wr.TableOfContents()]
    for section in shown:
        width, height = SHAPES[_per_row(section)]
        for k, panel in enumerate(section.panels):
            row, column = divmod(k, _per_row(section))
            panel.layout = wr.Layout(x=column * width, y=row * height, w=width, h=height)
        groups = ["group"] if section.groups else []
        runs = wr.Runset(entity=entity, project=project, name=section.name, filters=section.runs, groupby=groups)
        blocks += [wr.H1(section.name), wr.P(section.text), wr.PanelGrid(runsets=[runs], panels=section.panels)]
    blocks += [wr.H1("The ledger"), wr.MarkdownBlock(str(Table(table.HEAD, [table.row_cells(row) for row in rows])))]
    return wr.Report(entity=entity, project=project, title=TITLE, description=text, blocks=blocks, width="fluid")
