"""Where the records of a figure come from: the committed results, a runs directory, some runs, or W&B; read alike."""

from collections.abc import Iterable
from pathlib import Path

from bnrepro.analysis.reading.load import Arms, Record, Source, by_variant, load_records

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


def chosen(
    available: list[Record],
    figure: str,
    scale: str,
    committed: list[Record],
    required: Iterable[str],
    also: Iterable[str],
) -> Arms:
    """The arms of a figure, by variant and seed; of several configurations of one variant the committed one.

    Args:
        available: the records to choose from.
        figure: where the experiments are, for a message.
        scale: the same.
        committed: records of the configurations that are preferred.
        required: variants that must be there.
        also: variants that are taken, too, where they are there.
    """
    present = {record.variant for record in available}
    variants = dict.fromkeys([*required, *(name for name in also if name in present)])
    return by_variant(available, *variants, prefer={record.group for record in committed}, figure=figure, scale=scale)
