"""The results page: gathered, laid out and written."""

import base64
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bnrepro.analysis.claims import table as ledger
from bnrepro.analysis.claims.definitions import load_claims
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.render import html
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_text
from bnrepro.site import claims, figures
from bnrepro.site.charts import INKS, Chart
from bnrepro.site.links import Links

COLOURS = {  # everything else: by day, in the dark, on paper
    "page": ("#fdfcfa", "#15171b", "#ffffff"),
    "raised": ("#ffffff", "#1e2126", "#ffffff"),
    "text": ("#1b1c1f", "#e8e6e1", "#000000"),
    "muted": ("#62646b", "#a3a5ab", "#444444"),
    "line": ("#eceae5", "#2a2d33", "#e2e2e2"),
    "rule": ("#cfccc4", "#454951", "#999999"),
    "tint": ("#f4f1ea", "#1d2025", "#f5f5f5"),
    "link": ("#1f5fa8", "#86b8f2", "#000000"),
    "contested": ("#6d4a9c", "#bfa0ea", "#6d4a9c"),
    "untested": ("#6f7177", "#9a9ca2", "#555555"),
} | {f"ink-{name}": (day, night, day) for name, (day, night) in INKS.items()}


def _charts(contents: dict[str, tuple]) -> dict[str, Chart]:
    """Every chart by name, from what the figures are drawn of."""
    first, second, evaluation = (contents[name][0] for name in ("figure1", "figure2", "figure4"))
    charts = [
        figures.accuracy(first),
        figures.inputs(first["plain"], first["bn"]),
        figures.speed(second),
        figures.activations(*(second[name] for name in FIGURES["figure2"].needed)),
        figures.ensembles(evaluation),
    ]
    return {chart.name: chart for chart in charts}


def _picture(path: Path) -> str:
    """A committed drawing inside the page, for readers without JavaScript."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _json(value: Any) -> Markup:
    """JSON that can stand in a script element."""
    return Markup(json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"))


def build(results: Path, page: Path, repository: str = "") -> str:
    """The whole page as HTML.

    Args:
        results: the folder of committed results; configs/ and notebooks/ are beside it.
        page: the folder that the page will be in.
        repository: the address of the repository's files; without one, links are relative.
    """
    root, links = results.resolve().parent, Links(results.resolve().parent, page.resolve(), repository)
    if not (results / "claims.json").is_file():
        raise UserError(f"no {results / 'claims.json'}; run: python scripts/report.py")
    rows, definitions = read_json(results / "claims.json"), load_claims(root / "configs" / "claims")
    run_folders = claims.homes(root)
    plots = {row["id"].lower(): claims.chart(row, definitions[row["id"]]) for row in rows if ledger.plotted(row)}
    contents = {name: figure.contents(results=results) for name, figure in FIGURES.items()}
    pages = {name: FIGURES[name].page(*parts) for name, parts in contents.items()}
    homes = {name: figure.home(results) for name, figure in FIGURES.items()}
    charts = _charts(contents)
    environment = Environment(
        loader=PackageLoader("bnrepro.site"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals |= {"marks": ledger.MARKS, "link": links, "inline": html.inline, "block": html.block}
    environment.globals |= {"kind": html.kind, "names": html.names, "groups": html.groups, "classes": html.classes}
    return environment.get_template("page.html").render(
        colours=COLOURS,
        figures=FIGURES,
        charts=charts,
        pages=pages,
        tables={name: {table.title: table for table in page.tables} for name, page in pages.items()},
        homes={name: f"results/{home.relative_to(results)}" for name, home in homes.items()},
        pictures={
            name: {path.stem: _picture(path) for path in sorted(home.glob("*.svg"))} for name, home in homes.items()
        },
        rows=[claims.entry(row, root, run_folders, links) for row in rows],
        counts={verdict: len(ids) for verdict, ids in ledger.counts(ledger.of_kind(rows, "empirical")).items()},
        filters={verdict: len(ids) for verdict, ids in ledger.counts(rows).items()},
        others={title: len(ledger.of_kind(rows, kind)) for kind, title in ledger.KINDS.items() if kind != "empirical"},
        intro=html.inline(" ".join(ledger.INTRO.split())),
        data=_json({name: chart.data() for name, chart in charts.items()}),
        plots=_json({name: json.loads(plot.to_json()) for name, plot in plots.items()}),
        plotly=Markup(get_plotlyjs()),
    )


def write(results: Path, folder: Path, repository: str = "") -> Path:
    """Write ``folder``/index.html."""
    text = build(results, folder, repository)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "index.html", text)
    return folder / "index.html"
