"""``scripts/report.py``: rebuild figures and tables from records."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bnrepro.analysis.claims import ledger
from bnrepro.analysis.claims import plot as claims_plot
from bnrepro.analysis.claims import table as claims_table
from bnrepro.analysis.figures import (
    beside,
    figure1,
    figure1_table,
    figure2,
    figure2_plot,
    figure2_table,
    figure4,
    figure4_plot,
    figure4_table,
    ladder,
    layers_plot,
    tuning,
)
from bnrepro.analysis.reading import dataset, sources
from bnrepro.analysis.reading.load import Record, Source, by_variant, load_records
from bnrepro.analysis.render import style
from bnrepro.config.folders import CLAIMS
from bnrepro.errors import UserError, suggest
from bnrepro.records.files import write_json, write_text
from bnrepro.records.named import is_run, named, runs_folder


def compare_figure1(records: Source, committed: Path) -> Table:
    """The quantities of Figure 1 from two sets of records, side by side."""
    theirs = by_variant(load_records(committed), "plain", "bn")
    prefer, scale = [arm[0].group for arm in theirs.values()], committed.parent.name
    ours = by_variant(load_records(records, "figure1"), "plain", "bn", prefer=prefer, scale=scale)
    here, there = figure1_table.quantities(ours), figure1_table.quantities(theirs)
    table = Table("Figure 1", "trained here", "committed", box=None, header_style="bold")
    for name, value in here.items():
        table.add_row(name, value, there.get(name, ""))
    return table


def _arms(what: str, found: list[Record], committed: Path) -> figure2.Arms:
    """The arms of Figure 1 or 2 that there are; of several configurations of one, that which is committed."""
    return sources.chosen(found, what, committed.parent.name, load_records(committed), NEEDED[what], ARMS[what])


def report_figure1(records: Source, out: Path, committed: Path) -> list[Path]:
    """Figure and table of Figure 1.

    Where a runs directory holds several configurations of an arm, the committed one is taken. Committed records of
    other seeds, in figure1_check, are set beside the committed ones.
    """
    arms = _arms("figure1", load_records(records, "figure1"), committed)
    check = committed.parents[2] / "figure1_check" / committed.parent.name / "runs"
    again = by_variant(load_records(check), "plain", "bn") if records == committed and check.is_dir() else None
    paths = style.save(figure1.draw(arms["plain"], arms["bn"]), out / "figure")
    write_text(out / "table.md", figure1_table.table(arms, again))
    return [*paths, out / "table.md"]


def report_figure2(records: Source, out: Path, committed: Path) -> list[Path]:
    """Figure 2, the activations inside its first two networks, and the table that is Figure 3.

    Variants that have no records yet are left out and named.
    """
    arms = _arms("figure2", load_records(records, "figure2"), committed)
    plain, bn = (arms[name][0] for name in figure2.REQUIRED)
    paths = [
        *style.save(figure2_plot.draw(arms), out / "figure"),
        *style.save(layers_plot.draw(plain, bn), out / "activations"),
    ]
    write_text(out / "table.md", figure2_table.table(arms))
    return [*paths, out / "table.md"]


def report_beside(what: str, names: Sequence[str], records: Source | None, out: Path, committed: Path) -> list[Path]:
    """Figure 1 or 2 with variants of one's own in it, and a table of them.

    Args:
        what: figure1 or figure2.
        names: the variants.
        records: where they are, and all else; if not given they are in the runs directory, and the figure's own
            networks are the committed ones, or where none are committed at this scale those of the runs directory.
        out: where to write.
        committed: the committed records of this scale.
    """
    source, scale = records or RUNS, committed.parent.name
    found = load_records(source, what, scale)
    known = sorted({record.variant for record in found} - set(ARMS[what]))
    for name in names:
        if name in ARMS[what]:
            raise UserError(f"{name} is a network of {what} itself; train yours under another name, variant=NAME")
        if name not in known:
            there = f"; {suggest(name, known)}" if known else ""
            raise UserError(f"no complete record of {name} for {what} at scale={scale} in {source}{there}")
    arms = _arms(what, found if records or lacking(committed, what) else load_records(committed), committed)
    own = by_variant(found, *names)
    if what == "figure1":
        drawn, goals = figure1.draw(arms["plain"], arms["bn"], own), figure1.TARGETS
    else:
        drawn, goals = figure2_plot.draw(arms, own), (figure2.target(arms[figure2.BASELINE]),)
    titled = {ARMS[what][name]: records for name, records in arms.items()}
    paths = style.save(drawn, out / "beside")
    write_text(out / "beside.md", beside.table(own, titled, [ARMS[what][name] for name in NEEDED[what]], goals))
    return [*paths, out / "beside.md"]


def report_tuning(figure: str, records: Source, out: Path, committed: Path) -> list[Path]:
    """Table of a figure's tuning sweep, and its ladder of rates, which for Figure 2 stands beside that of Figure 1."""
    found = load_records(records, f"{figure}_tuning")
    if not found:
        sweep = {"figure1": "figure1_tuning", "figure2": "figure2_base_rate"}[figure]
        command = f"python scripts/train.py -m sweep={sweep} scale={committed.parent.name}"
        raise UserError(f"no complete record of {figure}_tuning in {records}; run {command}")
    rungs = ladder.ladder(found, figure)
    beside = ladder.of_results(committed.parents[2], "figure1_tuning", "paper") if figure == "figure2" else []
    paths = style.save(ladder.draw([rungs, *beside]), out / "figure")
    write_text(out / "table.md", f"{tuning.table(found, figure)}\n## The ladder of rates\n\n{ladder.table(rungs)}")
    return [*paths, out / "table.md"]


def report_figure4(records: Source, out: Path, committed: Path) -> list[Path]:
    """Table and plots of Figure 4 from what evaluate.py left of the six networks."""
    if isinstance(records, list):
        raise UserError("figure4 is of an evaluation, not of runs; give the runs directory, which holds both")
    scale = committed.parent.name
    where = committed.parents[2] if records == committed else records
    found = sources.evaluation(where, scale)
    members = figure4.networks(found, sources.records(where, "figure4", scale))
    title = f"{dataset.title(members[0])}; {found.images:,} validation images"
    paths = style.save(figure4_plot.draw(found, title), out / "figure")
    write_text(out / "table.md", figure4_table.table(found, members))
    return [*paths, out / "table.md"]


def report_claims(records: Source, out: Path, committed: Path) -> list[Path]:
    """The ledger, a page of it, a plot of each claim that was measured, and its summary in the README.

    It follows from the committed records of all experiments; the README is touched only beside them.
    """
    results = committed.parent
    if records != committed:
        raise UserError("claims are judged on committed records alone; leave --records out")
    found = ledger.build(results, results.parent / "configs" / "claims")
    write_json(out / "claims.json", found.rows)
    write_text(out / "claims.md", claims_table.page(found.rows))
    paths = [out / "claims.json", out / "claims.md"]
    for row in found.rows:
        if claims_table.plotted(row):
            drawn = claims_plot.draw(found.judged[row["id"]])
            paths += style.save(drawn, out / claims_table.PLOTS / row["id"], kinds=(".png",))
    readme = results.parent / "README.md"
    if out == results and readme.is_file():
        write_text(readme, claims_table.within(readme.read_text(), found.rows))
        paths.append(readme)
    return paths


def report_site(results: Path, out: Path, repository: str) -> Path:
    """The results page, ``out``/index.html, from all that is committed."""
    from bnrepro.site import page  # plotly, which no other report needs

    return page.write(results, out, repository)


REPORTS: dict[str, Callable[[Source, Path, Path], list[Path]]] = {
    "figure1": report_figure1,
    "figure1_tuning": partial(report_tuning, "figure1"),
    "figure2": report_figure2,
    "figure2_tuning": partial(report_tuning, "figure2"),
    "figure4": report_figure4,
    "claims": report_claims,
}
ARMS = {  # the networks of a figure, by variant: their titles
    "figure1": figure1.TITLES,
    "figure2": {name: figure2.full_title(name) for name in figure2.VARIANTS},
}
RUNS = runs_folder()
SCALES = dict.fromkeys(REPORTS, "laptop") | {"figure1": "paper", "figure1_tuning": "paper"}
NEEDED = {
    "figure1": ("plain", "bn"),
    "figure1_tuning": ("tune_plain", "tune_bn"),
    "figure2": figure2.REQUIRED,
    "figure2_tuning": ("tune_plain",),
    "figure4": figure4.MEMBERS,
    "claims": (),
}
FILES = {"figure4": figure4.FILES, "claims": (str(ledger.IDENTITIES),)}  # beside the records


def home(results: Path, what: str, scale: str | None = None) -> Path:
    """Where a report and its records are; at its usual scale if none is named. That of claims is of all scales."""
    if what == "claims":
        return results
    return results / what / (scale or SCALES[what])


def lacking(runs: Path, what: str) -> list[str]:
    """What a report cannot do without and is not there: variants without a record, and then files beside them."""
    variants = [variant for variant in NEEDED[what] if not any(runs.glob(f"{variant}-s*/status.json"))]
    return variants or [name for name in FILES.get(what, ()) if not (runs.parent / name).is_file()]


def recorded(results: Path, scale: str | None = None) -> list[str]:
    """The reports whose committed records suffice."""
    return [what for what in REPORTS if not lacking(home(results, what, scale) / "runs", what)]


def asked(words: list[str]) -> tuple[list[str], Source | None]:
    """The reports and the records that words ask for: a runs directory, or runs by directory, name or pattern.

    Raises:
        UserError: a word is neither a report nor a run.
    """
    reports = [word for word in words if word in REPORTS or word == "site"]
    paths = named(word for word in words if word not in reports)
    for path in paths:
        if path.is_dir() and (is_run(path) or len(paths) == 1):
            continue
        if str(path) == "figure3":
            raise UserError("figure3 is the table of figure2; run python scripts/report.py figure2")
        if re.fullmatch(r"[CS]\d+", str(path), re.IGNORECASE):
            known = (CLAIMS / f"{str(path).upper()}.yaml").is_file()
            there = f"it is in results/claims.md#{str(path).lower()}" if known else "and there is no such claim"
            raise UserError(f"{path}: claims are judged together, by python scripts/report.py claims; {there}")
        raise UserError(f"no report and no run {path}; {suggest(str(path), [*REPORTS, 'site'])}")
    return reports, paths[0] if len(paths) == 1 and not is_run(paths[0]) else paths or None


def main(arguments: list[str] | None = None) -> int:
    """Rebuild what is asked for; 2 with one line when it cannot be."""
    parser = argparse.ArgumentParser(description="Figures and tables, rebuilt from records (default: all of results/).")
    parser.add_argument(
        "what",
        nargs="*",
        metavar="REPORT|RUN",
        help=f"reports: {', '.join([*REPORTS, 'site'])} (the results page, site/index.html); default: all whose "
        "records suffice. Runs: read these, or those of a runs directory, as --records does",
    )
    parser.add_argument("--scale", help="which scale's records (default: figure1 paper, figure2 laptop)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="committed results")
    parser.add_argument(
        "--records", type=Path, help="read these records instead: a runs directory, or wandb:entity/project"
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
    parser.add_argument("--repository", default="", help="site: link to this address of the repository's files")
    options = parser.parse_args(arguments)
    try:
        options.what, runs = asked(options.what)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.records = options.records or runs
    if options.beside and not (options.what and set(options.what) <= ARMS.keys()):
        parser.error("--beside VARIANT ... comes after one of: " + ", ".join(ARMS))
    if options.records and not (options.out or options.beside):
        parser.error("--records needs --out: the committed figures follow from the committed records alone")
    try:
        for what in options.what or recorded(options.results, options.scale):
            if what == "site":
                print(report_site(options.results, options.out or Path("site"), options.repository))
                continue
            place = home(options.results, what, options.scale)
            if options.beside:
                out = options.out or RUNS / what
                paths = report_beside(what, options.beside, options.records, out, place / "runs")
            else:
                paths = REPORTS[what](options.records or place / "runs", options.out or place, place / "runs")
            print(*paths, sep="\n")
        if options.compare:
            committed = home(options.results, "figure1", options.scale) / "runs"
            Console(width=None if sys.stdout.isatty() else 160).print(
                compare_figure1(options.records or committed, committed)
            )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
