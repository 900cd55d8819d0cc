"""The workspace and the report, as objects that W&B's client can save, and as JSON without an account."""

import json
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from bnrepro.analysis.claims import table
from bnrepro.analysis.claims.ledger import Row
from bnrepro.analysis.render.table import Table
from bnrepro.dashboard.panels import BEST, Section

TITLE = "Batch Normalization, reproduced"
COLUMNS = 24  # of a report's grid
SHAPES = {1: (24, 12), 2: (12, 10), 3: (8, 8)}  # width and height of a panel, by how many are in a row


def workspace(entity: str, project: str, sections: list[Section]) -> ws.Workspace:
    """The project's page: every section, seeds of a configuration in one group."""
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
            for k, section in enumerate(sections)
        ],
        settings=ws.WorkspaceSettings(x_axis="Step", max_runs=100, point_visualization_method="bucketing"),
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Metric("Group")],
            pinned_columns=["run:displayName", "summary:state", f"summary:{BEST}", "config:lr.value"],
        ),
    )


def _per_row(section: Section) -> int:
    return 1 if len(section.panels) == 1 else 2 if len(section.panels) in (2, 4) else 3


def _laid_out(section: Section) -> list[Any]:
    """The panels, each given its place in the report's grid."""
    per_row = _per_row(section)
    width, height = SHAPES[per_row]
    for k, panel in enumerate(section.panels):
        panel.layout = wr.Layout(x=k % per_row * width, y=k // per_row * height, w=width, h=height)
    return section.panels


def report(entity: str, project: str, sections: list[Section], rows: list[Row]) -> wr.Report:
    """The page to read: text, then each section's panels over its own runs, then the ledger.

    Args:
        entity: empty for a specification that asks W&B nothing.
        project: where the runs are.
        sections: `panels.sections`.
        rows: the ledger's.
    """
    empirical = table.of_kind(rows, "empirical")
    counts = ", ".join(f"{len(ids)} {verdict}" for verdict, ids in table.counts(empirical).items())
    text = f"Ioffe & Szegedy 2015, every figure and claim measured. Of {len(empirical)} empirical claims: {counts}."
    blocks: list[Any] = [wr.P(text), wr.TableOfContents()]
    for section in sections:
        runs = wr.Runset(
            entity=entity,
            project=project if entity else "",
            name=section.name,
            filters=section.runs,
            groupby=["group"] if section.groups else [],
        )
        blocks += [
            wr.H1(section.name),
            wr.P(section.text),
            wr.PanelGrid(runsets=[runs], panels=_laid_out(section)),
        ]
    blocks += [wr.H1("The ledger"), wr.MarkdownBlock(str(Table(table.HEAD, [table.cells(row) for row in rows])))]
    return wr.Report(entity=entity, project=project, title=TITLE, description=text, blocks=blocks, width="fluid")


def as_json(thing: ws.Workspace | wr.Report) -> dict[str, Any]:
    """What would be sent of either; the ids of panels and grids are random."""
    return json.loads(thing._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
