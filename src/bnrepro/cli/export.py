"""``scripts/export.py``: trained networks as folders that timm loads."""

import argparse
from pathlib import Path

from bnrepro.cli.mistakes import script
from bnrepro.records.named import find_runs
from bnrepro.use.export import export


@script
def main(words: list[str] | None) -> None:
    """Export the runs, and print how to load each export."""
    parser = argparse.ArgumentParser(description="Write a trained network as a folder that timm.create_model loads.")
    parser.add_argument("run", nargs="+", help="finished runs: directories, names or patterns")
    parser.add_argument("--out", type=Path, help="default: RUN/export; of several runs, a folder with one for each")
    options = parser.parse_args(words)
    runs, folder = find_runs(options.run), options.out
    for run in runs:
        out = (folder if len(runs) == 1 else folder / run.name) if folder else run / "export"
        export(run, out)
        load = f"timm.create_model('local-dir:{out}', pretrained=True)"
        print(f"{out}: import bnrepro.models.registered, timm; {load}")
