"""Executing notebooks: each is a plain-text ``notebooks/*.py`` (py:percent) and its executed ``.ipynb`` pair."""

import os
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"


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


def execute(script: Path) -> nbformat.NotebookNode:
    """The executed notebook; raises `nbclient.exceptions.CellExecutionError` when a cell does."""
    notebook = load(script)
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}, record_timing=False).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


def rebuild() -> list[Path]:
    """Execute every notebook and write its pair."""
    written = []
    for script in sorted(FOLDER.glob("*.py")):
        nbformat.write(execute(script), script.with_suffix(".ipynb"))
        written.append(script.with_suffix(".ipynb"))
    return written
