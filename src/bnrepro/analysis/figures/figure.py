"""The description of a figure, from which reports, the results page, the dashboards and the notebooks work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Drawing

from bnrepro.analysis.reading.load import COMMITTED, Arms, Source, by_variant, records_of
from bnrepro.analysis.render import style
from bnrepro.analysis.render.table import Page
from bnrepro.records.files import write_text


@dataclass(frozen=True)
class Figure:
    """One figure, or a sweep that is reported like one.

    Args:
        name: the name of its report, and of its folder in ``results/`` unless ``folder`` names another.
        title: its title on the results page.
        draw: makes its drawings, by the stem of their files, from what ``read`` returns.
        page: makes its table.md from the same.
        required_variants: the variants without which it is not reported.
        scale: the usual scale of its committed records.
        read: reads what ``draw`` and ``page`` take, from the figure, a source, a scale and the committed results;
            without it they take the records of its networks.
        titles: the names of its networks, by variant.
        files: the files that it needs besides records.
        caption: what it shows, in a few sentences.
        draw_with_variants: draws its networks together with a user's own variants.
        goals: the accuracies whose steps are counted in the table of these variants.
        folder: the folder below ``results/`` that holds its records and drawings.
    """

    name: str
    title: str
    draw: Callable[..., dict[str, Drawing]]
    page: Callable[..., Page]
    required_variants: Sequence[str]
    scale: str = "laptop"
    read: Callable[["Figure", Source, str, Path], tuple] | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()
    caption: str = ""
    draw_with_variants: Callable[[Arms, Arms], Drawing] | None = None
    goals: Callable[[Arms], Sequence[float]] | None = None
    folder: str = ""

    def home(self, results: Path = COMMITTED, scale: str | None = None) -> Path:
        """Return the folder of its committed records, drawings and table."""
        return results / (self.folder or self.name) / (scale or self.scale)

    def missing(self, results: Path = COMMITTED, scale: str | None = None) -> list[str]:
        """Return the required variants without a committed record; if there are none, the missing files."""
        home = self.home(results, scale)
        variants = [name for name in self.required_variants if not any(home.glob(f"runs/{name}-s*/status.json"))]
        return variants or [name for name in self.files if not (home / name).is_file()]

    def arms(self, source: Source = COMMITTED, scale: str | None = None, results: Path = COMMITTED) -> Arms:
        """Return its networks; if a variant has several configurations, the committed one."""
        scale = scale or self.scale
        records, committed = (records_of(place, self.name, scale) for place in (source, results))
        present = {record.variant for record in records}
        variants = dict.fromkeys([*self.required_variants, *(name for name in self.titles if name in present)])
        prefer = {record.group for record in committed}
        return by_variant(records, *variants, prefer=prefer, figure=self.name, scale=scale)

    def contents(self, source: Source | None = None, scale: str | None = None, results: Path = COMMITTED) -> Any:
        """Return what it is drawn and tabulated from: the committed records if no source is named."""
        source, scale = source or results, scale or self.scale
        return self.read(self, source, scale, results) if self.read else (self.arms(source, scale, results),)

    def report(self, out: Path, source: Source | None, scale: str | None, results: Path) -> list[Path]:
        """Write its drawings and its table, and return their paths."""
        contents, paths = self.contents(source, scale, results), []
        for stem, drawing in self.draw(*contents).items():
            paths += style.save(drawing, out / stem)
        write_text(out / "table.md", str(self.page(*contents)))
        return [*paths, out / "table.md"]
