"""A user's own variants beside the networks of Figure 1 or 2: their curves, steps and accuracies."""

from collections.abc import Sequence
from pathlib import Path

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.figures.figure2_table import points, times
from bnrepro.analysis.reading.curves import finals
from bnrepro.analysis.reading.load import Arms, Record, Source, by_variant, load_records
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render import style
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import Page, Table
from bnrepro.analysis.render.text import OF_RATIOS, OVER_SEEDS, percent, reached
from bnrepro.errors import UserError, suggest
from bnrepro.records.files import write_text


def table(name: str, variant: list[Record], networks: Arms, goals: Sequence[float]) -> Table:
    """Tabulate a variant and the networks, and how much better and faster it is than each, paired by seed.

    Steps are counted to each goal, and speed is measured by the last one.
    """
    rows = [
        {"network": title, "n": str(len(records))}
        | {f"steps to {goal:.1%}": reached(figure2.steps(records, goal)) for goal in goals}
        | {
            "final top-1, % (± sd)": percent(Estimate.of(finals(records))),
            f"{name} ends higher by, points {OVER_SEEDS}": "" if records is variant else points(records, variant),
            f"{name} takes times fewer steps to {goals[-1]:.1%} {OF_RATIOS}": ""
            if records is variant
            else times(records, variant, goals[-1]),
        }
        for title, records in ({name: variant} | networks).items()
    ]
    return Table.of(rows, name)


def report(
    figure: Figure, names: Sequence[str], source: Source, networks: Source, scale: str, results: Path, out: Path
) -> list[Path]:
    """Draw and tabulate variants from a source in a figure: write beside.png, beside.svg and beside.md.

    ``networks`` is the source of the figure's own networks; ``results`` says which configuration of each is meant.
    """
    records = load_records(source, figure.name, scale)
    known = sorted({record.variant for record in records} - set(figure.titles))
    for name in names:
        if name in figure.titles:
            raise UserError(f"{name} is a network of {figure.name} itself; train yours under another name")
        if name not in known:
            hint = f"; {suggest(name, known)}" if known else ""
            raise UserError(f"no complete record of {name} for {figure.name} at scale={scale} in {source}{hint}")
    user_variants, arms = by_variant(records, *names), figure.arms(networks, scale, results)
    titled = {figure.titles[name]: records for name, records in arms.items()}
    tables = [table(name, variant, titled, figure.goals(arms)) for name, variant in user_variants.items()]
    paths = style.save(figure.draw_with_variants(arms, user_variants), out / "beside")
    write_text(out / "beside.md", str(Page("Variants of one's own", prose("beside", "opening"), tables)))
    return [*paths, out / "beside.md"]
