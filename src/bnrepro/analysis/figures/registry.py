"""The figures that there are. A new one has a module of its own and an entry here."""

from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure as Drawing

from bnrepro.analysis.figures import (
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
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.figures.ladder import Ladder
from bnrepro.analysis.reading import dataset, sources
from bnrepro.analysis.reading.load import Arms, Record, Source, by_variant
from bnrepro.analysis.render.table import Page
from bnrepro.errors import UserError


def _figure1(figure: Figure, source: Source, scale: str, results: Path) -> tuple[Arms, Arms | None]:
    """The arms, and where they are the committed ones, those of other seeds in figure1_check."""
    check = sources.records(results, "figure1_check", scale) if source == results else []
    return figure.arms(source, scale, results), by_variant(check, "plain", "bn") if check else None


def _draw2(arms: Arms) -> dict[str, Drawing]:
    plain, bn = (arms[name][0] for name in figure2.REQUIRED)
    return {"figure": figure2_plot.draw(arms), "activations": layers_plot.draw(plain, bn)}


def _figure4(figure: Figure, source: Source, scale: str, results: Path) -> tuple[figure4.Evaluation, list[Record]]:
    if not isinstance(source, Path | str):
        raise UserError("figure4 is of an evaluation, not of runs; give the runs directory, which holds both")
    evaluation = figure4.evaluation(source, scale)
    return evaluation, figure4.networks(evaluation, sources.records(source, figure.name, scale))


def _draw4(evaluation: figure4.Evaluation, members: list[Record]) -> dict[str, Drawing]:
    title = f"{dataset.title(members[0])}; {evaluation.images:,} validation images"
    return {"figure": figure4_plot.draw(evaluation, title)}


def _tuning(of: str, title: str, scale: str, sweep: str, *needed: str) -> Figure:
    """The entry of the sweep that tuned a figure; beside the ladder of Figure 2 stands that of Figure 1."""

    def read(figure: Figure, source: Source, scale: str, results: Path) -> tuple[list[Record], list[Ladder]]:
        records = sources.records(source, figure.name, scale)
        if not records:
            command = f"python scripts/train.py -m sweep={sweep} scale={scale}"
            raise UserError(f"no complete record of {figure.name} in {source}; run {command}")
        beside = ladder.of_results(results, "figure1_tuning", "paper") if of == "figure2" else []
        return records, [ladder.of_records(records, of), *beside]

    def page(records: list[Record], ladders: list[Ladder]) -> Page:
        own = tuning.page(records, of)
        return replace(own, tables=[*own.tables, ladder.table(ladders[0])])

    def draw(records: list[Record], ladders: list[Ladder]) -> dict[str, Drawing]:
        return {"figure": ladder.draw(ladders)}

    return Figure(f"{of}_tuning", title, draw, page, needed, scale, read)


_ALL = (
    Figure(
        "figure1",
        "Figure 1",
        lambda arms, again: {"figure": figure1.draw(arms)},
        figure1_table.page,
        needed=("plain", "bn"),
        scale="paper",
        read=_figure1,
        titles=figure1.TITLES,
        caption="""Three hidden layers of 100 sigmoids on binary images, 50,000 steps, with and without batch
        normalisation. The paper prints curves and no numbers. Its rates are not given, so the two networks are compared
        in three readings.""",
        with_own=figure1.draw,
        goals=lambda arms: figure1.TARGETS,
    ),
    _tuning("figure1", "Figure 1", "paper", "figure1_tuning", "tune_plain", "tune_bn"),
    Figure(
        "figure2",
        "Figures 2 and 3",
        _draw2,
        figure2_table.page,
        needed=figure2.REQUIRED,
        titles={name: figure2.full_title(name) for name in figure2.VARIANTS},
        caption="""The paper trains on ImageNet; this is Tiny-ImageNet at the scale of two cores, so only order and
        ratios can be set beside the paper's numbers. Rings are where the mean over seeds reaches the baseline's own
        maximum, crosses where a run diverges. Dashed lines are the same networks without BN, off at first.""",
        with_own=figure2_plot.draw,
        goals=lambda arms: (figure2.target(arms[figure2.BASELINE]),),
    ),
    _tuning("figure2", "Figures 2 and 3", "laptop", "figure2_base_rate", "tune_plain"),
    Figure(
        "figure4",
        "Figure 4",
        _draw4,
        figure4_table.page,
        needed=figure4.MEMBERS,
        read=_figure4,
        files=figure4.FILES,
        caption="""Six networks, each looked at through 1, 10 or 144 crops, alone and together. Bands are the range over
        all choices of so many networks; areas of the dots in (c) are images.""",
    ),
)
FIGURES = {figure.name: figure for figure in _ALL}
