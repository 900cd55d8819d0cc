"""Write the ledger: claims.json, claims.md, a plot of each claim with measurements, and the summary in the README."""

from pathlib import Path

from bnrepro.analysis.claims import ledger, plot, table
from bnrepro.analysis.render import style
from bnrepro.records.files import write_json, write_text


def report(out: Path, results: Path) -> list[Path]:
    """Judge the claims on the committed records; update the README only if ``out`` is the committed folder."""
    rows, judged, _ = ledger.build(results, results.parent / "configs" / "claims")
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "claims.json", out / "claims.md"]
    write_json(paths[0], rows)
    write_text(paths[1], table.page(rows))
    for row in rows:
        if table.plotted(row):
            paths += style.save(plot.draw(row, judged[row["id"]]), out / table.PLOTS / row["id"], kinds=(".png",))
    readme = results.parent / "README.md"
    if out == results and readme.is_file():
        write_text(readme, table.update_readme(readme.read_text(), rows))
        paths.append(readme)
    return paths
