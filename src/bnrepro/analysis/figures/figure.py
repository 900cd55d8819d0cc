"""What a figure has to say of itself for its report, the page, the dashboards and the notebooks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Drawing

from bnrepro.analysis.reading import sources
from bnrepro.analysis.reading.load import Arms, Source, by_variant
from bnrepro.analysis.reading.sources import COMMITTED
from bnrepro.analysis.render import style
from bnrepro.analysis.render.table import Page
from bnrepro.records.files import write_text


def networks_alone(figure: "Figure", source: Source, scale: str, results: Path) -> tuple[Arms]:
    """What a figure is drawn from, if it is from the records of its networks and nothing else."""
    return (figure.arms(source, scale, results),)


@dataclass(frozen=True)
class Figure:
    """One figure, or a sweep that is reported like one.

    Args:
        name: of its report, and of its folder in ``results/`` unless ``folder`` is another.
        title: what the page calls it.
        draw: its drawings by the stem of their files.
        page: its table.md.
        needed: the variants without which it is not reported.
        scale: where its committed records usually are.
        read: gives what ``draw`` and ``page`` take, from the figure, a source (see `sources.records`), a scale and the
            committed results.
        titles: the names of its networks, by variant.
        files: what it needs beside the records.
        caption: what it shows, in a few sentences.
        with_own: draws its networks and variants of one's own.
        goals: the accuracies whose steps are counted in the table of these variants.
        folder: below ``results/``, where its records and drawings are if it is not called as the figure.
    """

    name: str
    title: str
    draw: Callable[..., dict[str, Drawing]]
    page: Callable[..., Page]
    needed: Sequence[str]
    scale: str = "laptop"
    read: Callable[["Figure", Source, str, Path], tuple] = networks_alone
    titles: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()
    caption: str = ""
    with_own: Callable[[Arms, Arms], Drawing] | None = None
    goals: Callable[[Arms], Sequence[float]] | None = None
    folder: str = ""

    def home(self, results: Path = COMMITTED, scale: str | None = None) -> Path:
        """The folder of its committed records, drawings and table; at the usual scale if none is named."""
        return results / (self.folder or self.name) / (scale or self.scale)

    def lacking(self, results: Path = COMMITTED, scale: str | None = None) -> list[str]:
        """The needed variants that have no committed record; if all have one, the needed files that are not there."""
        home = self.home(results, scale)
        variants = [name for name in self.needed if not any(home.glob(f"runs/{name}-s*/status.json"))]
        return variants or [name for name in self.files if not (home / name).is_file()]

    def arms(self, source: Source = COMMITTED, scale: str | None = None, results: Path = COMMITTED) -> Arms:
        """Its networks; of several configurations of one variant the committed one."""
        scale = scale or self.scale
        records, committed = (sources.records(place, self.name, scale) for place in (source, results))
        present = {record.variant for record in records}
        variants = dict.fromkeys([*self.needed, *(name for name in self.titles if name in present)])
        prefer = {record.group for record in committed}
        return by_variant(records, *variants, prefer=prefer, figure=self.name, scale=scale)

    def contents(self, source: Source | None = None, scale: str | None = None, results: Path = COMMITTED) -> Any:
        """What it is drawn and tabulated from; the committed records if no source is named."""
        return self.read(self, source or results, scale or self.scale, results)

    def report(self, out: Path, source: Source | None, scale: str | None, results: Path) -> list[Path]:
        """Write its drawings and its table."""
        contents, paths = self.contents(source, scale, results), []
        for stem, drawing in self.draw(*contents).items():
            paths += style.save(drawing, out / stem)
        write_text(out / "table.md", str(self.page(*contents)))
        return [*paths, out / "table.md"]
