"""``scripts/report.py``: rebuild figures and tables from records."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bnrepro.analysis import figure1, figure1_table, style, tuning
from bnrepro.analysis.load import by_variant, load_records
from bnrepro.errors import UserError
from bnrepro.records.files import write_text


def compare_figure1(records: Path, committed: Path) -> Table:
    """The quantities of Figure 1 from two sets of records, side by side."""
    theirs = by_variant(load_records(committed), "plain", "bn")
    ours = by_variant(load_records(records), "plain", "bn", prefer=[arm[0].group for arm in theirs.values()])
    here, there = figure1_table.quantities(ours), figure1_table.quantities(theirs)
    table = Table("Figure 1", "trained here", "committed", box=None, header_style="bold")
    for name, value in here.items():
        table.add_row(name, value, there.get(name, ""))
    return table


def report_figure1(records: Path, out: Path, committed: Path) -> list[Path]:
    """Figure and table of Figure 1.

    Where a runs directory holds several configurations of an arm, the committed one is taken. Committed records of
    other seeds, in figure1_check, are set beside the committed ones.
    """
    found = load_records(records)
    present = {record.variant for record in found}
    wanted = {"plain", "bn"} | {arm for pair in figure1.READINGS.values() for arm in pair} & present
    arms = by_variant(found, *sorted(wanted), prefer={record.group for record in load_records(committed)})
    check = committed.parents[2] / "figure1_check" / committed.parent.name / "runs"
    again = by_variant(load_records(check), "plain", "bn") if records == committed and check.is_dir() else None
    paths = style.save(figure1.draw(arms["plain"], arms["bn"]), out / "figure")
    write_text(out / "table.md", figure1_table.table(arms, again))
    return [*paths, out / "table.md"]


def report_tuning(records: Path, out: Path, committed: Path) -> list[Path]:
    """Table of the tuning sweep."""
    found = load_records(records)
    if not found:
        raise UserError(f"no complete records in {records}")
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "table.md", tuning.table(found))
    return [out / "table.md"]


REPORTS: dict[str, Callable[[Path, Path, Path], list[Path]]] = {
    "figure1": report_figure1,
    "figure1_tuning": report_tuning,
}


def main(arguments: list[str] | None = None) -> int:
    """Rebuild what is asked for; 2 with one line when it cannot be."""
    parser = argparse.ArgumentParser(description="Figures and tables, rebuilt from records (default: all of results/).")
    parser.add_argument("what", nargs="*", choices=[*REPORTS, []], help="default: all")
    parser.add_argument("--scale", default="paper", help="which scale's records (default: paper)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="committed results")
    parser.add_argument("--records", type=Path, help="read these records instead (a runs directory, say)")
    parser.add_argument("--compare", action="store_true", help="print Figure 1 beside the committed records' numbers")
    parser.add_argument("--out", type=Path, help="write here instead of beside the committed records")
    options = parser.parse_args(arguments)
    if options.records and not options.out:
        parser.error("--records needs --out: the committed figures follow from the committed records alone")
    try:
        for what in options.what or REPORTS:
            home = options.results / what / options.scale
            for path in REPORTS[what](options.records or home / "runs", options.out or home, home / "runs"):
                print(path)
        if options.compare:
            committed = options.results / "figure1" / options.scale / "runs"
            Console(width=None if sys.stdout.isatty() else 160).print(
                compare_figure1(options.records or committed, committed)
            )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
