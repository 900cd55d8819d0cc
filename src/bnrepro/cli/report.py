"""``scripts/report.py``: rebuild figures and tables from records."""

import argparse
import re
from pathlib import Path

from bnrepro.analysis.claims import ledger, write
from bnrepro.analysis.figures import beside, figure1_table
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.reading.load import Source
from bnrepro.analysis.render.table import Table
from bnrepro.cli.mistakes import script
from bnrepro.errors import UserError, suggest
from bnrepro.records.named import runs_folder
from bnrepro.tracking.wandb_source import is_wandb

REPORTS, SITE = (*FIGURES, "claims"), "site"
TAKE_VARIANTS = [name for name, figure in FIGURES.items() if figure.draw_with_variants]  # of a user, with --beside
RUNS = runs_folder()


def recorded(results: Path, scale: str | None = None) -> list[str]:
    """Return the reports whose committed records are complete."""
    figures = [name for name, figure in FIGURES.items() if not figure.missing(results, scale)]
    return figures + (["claims"] if (results / ledger.IDENTITIES).is_file() else [])


def home(name: str, results: Path, scale: str | None = None) -> Path:
    """Return the folder in which a report is committed; the ledger is of all scales."""
    return results if name == "claims" else FIGURES[name].home(results, scale)


def rebuild(
    name: str, results: Path, out: Path | None = None, source: Source | None = None, scale: str | None = None
) -> list[Path]:
    """Write a report's files, from the committed records or from another source, and return their paths."""
    out = out or home(name, results, scale)
    if name != "claims":
        return FIGURES[name].report(out, source, scale, results)
    if source:
        raise UserError("claims are judged on committed records alone; leave --records out")
    return write.report(out, results)


@script
def main(words: list[str] | None) -> None:
    """Rebuild what the words name, or all whose records suffice."""
    parser = argparse.ArgumentParser(description="Figures and tables, rebuilt from records.")
    parser.add_argument(
        "reports",
        nargs="*",
        metavar="REPORT",
        help=f"of {', '.join([*REPORTS, SITE])}; {SITE} is the results page (default: all whose records suffice)",
    )
    parser.add_argument(
        "--scale", help="the scale of the records (default: paper for Figure 1, laptop for Figures 2 to 4)"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="committed results")
    parser.add_argument(
        "--records",
        type=Path,
        help="read these records instead: a runs directory, or wandb:entity/project; needs --out",
    )
    parser.add_argument("--compare", action="store_true", help="print Figure 1 beside the committed records' numbers")
    parser.add_argument(
        "--beside",
        nargs="+",
        metavar="VARIANT",
        help="figure1, figure2: draw and tabulate these variants, trained here, beside the committed networks",
    )
    parser.add_argument(
        "--out", type=Path, help="write here instead of beside the committed records; with --beside, in the runs folder"
    )
    parser.add_argument("--repository", default="", help=f"{SITE}: link to this address of the repository's files")
    options = parser.parse_args(words)
    if options.beside and not (options.reports and set(options.reports) <= set(TAKE_VARIANTS)):
        parser.error("--beside VARIANT ... comes after one of: " + ", ".join(TAKE_VARIANTS))
    if options.results.exists() and not options.results.is_dir():
        raise UserError(f"{options.results} is not a folder")
    if options.records and not is_wandb(options.records) and not options.records.is_dir():
        raise UserError(f"{options.records} is not a folder")
    if options.records and not (options.out or options.beside):
        raise UserError("--records needs --out: the committed figures follow from the committed records alone")
    for name in options.reports:
        _check(name)
    for name in options.reports or recorded(options.results, options.scale):
        print(*_written(name, options), sep="\n")
    if options.compare:
        _compared(options).show(width=160)


def _check(name: str) -> None:
    """Raise a `UserError` unless there is a report of this name."""
    if name == "figure3":
        raise UserError("figure3 is the table of figure2; run python scripts/report.py figure2")
    if re.fullmatch(r"[CS]\d+", name, re.IGNORECASE):
        raise UserError(f"{name}: all claims are judged by python scripts/report.py claims; see results/claims.md")
    if name not in (*REPORTS, SITE):
        raise UserError(f"no report {name}; {suggest(name, [*REPORTS, SITE])}")


def _written(name: str, options: argparse.Namespace) -> list[Path]:
    """Write one report as the options say, and return its paths."""
    if name == SITE:
        from bnrepro.site import page  # it imports plotly, which no other report needs

        return [page.write(options.results, options.out or Path(SITE), options.repository)]
    if options.beside:
        figure, source, out = FIGURES[name], options.records or RUNS, options.out or RUNS / name
        scale = options.scale or figure.scale
        committed = not options.records and not figure.missing(options.results, options.scale)
        networks = options.results if committed else source
        return beside.report(figure, options.beside, source, networks, scale, options.results, out)
    return rebuild(name, options.results, options.out, options.records, options.scale)


def _compared(options: argparse.Namespace) -> Table:
    """Return the numbers of Figure 1 from two sets of records, side by side."""
    trained, committed = (
        figure1_table.quantities(FIGURES["figure1"].arms(source, options.scale, options.results))
        for source in (options.records or options.results, options.results)
    )
    rows = [[name, value, committed.get(name, "")] for name, value in trained.items()]
    return Table(["Figure 1", "trained here", "committed"], rows)
