"""``scripts/notebooks.py``: execute each plain-text ``notebooks/*.py`` (py:percent) into its ``.ipynb`` pair."""

import argparse
import base64
import io
import os
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

from bnrepro.cli.mistakes import script
from bnrepro.config.folders import ROOT

FOLDER = ROOT / "notebooks"
COLOURS = 256  # of a picture: this takes a third of the bytes and looks the same


def at_root() -> None:
    """Change to the repository's root, where the paths of a notebook begin."""
    os.chdir(ROOT)


def load(script: Path) -> nbformat.NotebookNode:
    """Return the notebook of a py:percent script; its cell ids follow the order of the cells."""
    notebook = jupytext.read(script, as_version=4)
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
    return notebook


def with_a_palette(picture: str) -> str:
    """Reduce a PNG in base64, as a cell's output has it, to `COLOURS` colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    file = io.BytesIO()
    image.quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def execute(script: Path) -> nbformat.NotebookNode:
    """Return the executed notebook, its pictures reduced to a palette; a cell that fails raises CellExecutionError."""
    notebook = load(script)
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}, record_timing=False).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = with_a_palette(output.data["image/png"])
    return notebook


def names() -> list[str]:
    """Return the names of the notebooks."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


@script
def main(words: list[str] | None) -> None:
    """Execute the notebooks that are named, or all, and write them back with their outputs."""
    parser = argparse.ArgumentParser(description="Execute notebooks and write them back with their outputs.")
    parser.add_argument("name", nargs="*", help=f"of {', '.join(names())} (default: all of them)")
    options = parser.parse_args(words)
    if unknown := set(options.name) - set(names()):
        parser.error(f"no notebook {unknown.pop()}; there are {', '.join(names())}")
    for name in options.name or names():
        source = FOLDER / f"{name}.py"
        nbformat.write(execute(source), source.with_suffix(".ipynb"))
        print(source.with_suffix(".ipynb"))
