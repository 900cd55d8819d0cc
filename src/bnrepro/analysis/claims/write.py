"""The ledger written: claims.json, claims.md, a plot of each claim that was measured, and its summary in the README."""

from pathlib import Path

from bnrepro.analysis.claims import ledger, plot, table
from bnrepro.analysis.render import style
from bnrepro.records.files import write_json, write_text


def report(out: Path, results: Path) -> list[Path]:
    """Judge the claims on the committed records; the README beside these is touched only if ``out`` is their folder."""
    judged = ledger.build(results, results.parent / "configs" / "claims")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "claims.json", judged.rows)
    write_text(out / "claims.md", table.page(judged.rows))
    paths = [out / "claims.json", out / "claims.md"]
    for row in judged.rows:
        if table.plotted(row):
            paths += style.save(plot.draw(judged.judged[row["id"]]), out / table.PLOTS / row["id"], kinds=(".png",))
    readme = results.parent / "README.md"
    if out == results and readme.is_file():
        write_text(readme, table.within(readme.read_text(), judged.rows))
        paths.append(readme)
    return paths
