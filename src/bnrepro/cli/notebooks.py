"""``scripts/notebooks.py``: executing notebooks.

Each is a plain-text ``notebooks/*.py`` (py:percent) and its executed ``.ipynb`` pair."""

import argparse
import base64
import io
import os
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

from bnrepro.config.folders import ROOT

FOLDER = ROOT / "notebooks"
COLOURS = 256  # of a picture: a third of the bytes, and nothing that an eye would miss


def at_root() -> None:
    """Go to the repository's root, where a notebook's paths begin, wherever Jupyter was started."""
    os.chdir(ROOT)


def load(script: Path) -> nbformat.NotebookNode:
    """The notebook of a py:percent script, with cell ids from the cells' order."""
    notebook = jupytext.read(script, as_version=4)
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
    return notebook


def with_a_palette(picture: str) -> str:
    """A PNG in base64, as it is in a cell's output, with at most `COLOURS` colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    file = io.BytesIO()
    image.quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def execute(script: Path) -> nbformat.NotebookNode:
    """The executed notebook, its pictures reduced to a palette.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
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
    """What the notebooks are called, each of a script and its executed pair."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def rebuild(chosen: list[str]) -> list[Path]:
    """Execute these notebooks and write their pairs."""
    written = []
    for name in chosen:
        script = FOLDER / f"{name}.py"
        nbformat.write(execute(script), script.with_suffix(".ipynb"))
        written.append(script.with_suffix(".ipynb"))
    return written


def main(words: list[str] | None = None) -> int:
    """Execute the notebooks that are named, or all, and write them back with their outputs."""
    parser = argparse.ArgumentParser(description="Execute notebooks and write them back with their outputs.")
    parser.add_argument("name", nargs="*", help=f"of {', '.join(names())} (default: all of them)")
    options = parser.parse_args(words)
    if unknown := set(options.name) - set(names()):
        parser.error(f"no notebook {unknown.pop()}; there are {', '.join(names())}")
    for path in rebuild(options.name or names()):
        print(path)
    return 0
