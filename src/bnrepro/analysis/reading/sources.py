"""Where the records of a figure come from: the committed results, a runs directory, some runs, or W&B; read alike."""

from pathlib import Path

from bnrepro.analysis.reading.load import Record, Source, load_records

COMMITTED = Path("results")


def records(source: Source, figure: str, scale: str) -> list[Record]:
    """The complete records of a figure at a scale, by name; of runs that are given one by one, at any scale.

    Args:
        source: a folder laid out as ``results/``, a runs directory, ``wandb:entity/project``, or runs.
        figure: the name of its folder in ``results/``.
        scale: see ``configs/scale``.
    """
    if not isinstance(source, Path | str):
        return load_records(source, figure)
    folder = Path(source) / figure / scale / "runs"
    return load_records(folder) if folder.is_dir() else load_records(source, figure, scale)
