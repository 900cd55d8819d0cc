"""Where the records of a figure come from: the committed results, a runs directory, or W&B; read alike."""

from collections.abc import Iterable
from pathlib import Path

from bnrepro.analysis.figures.figure4 import Evaluation, load_evaluation
from bnrepro.analysis.reading.load import Record, by_variant, load_records
from bnrepro.tracking import wandb_source

COMMITTED = "results"


def records(source: Path | str, figure: str, scale: str) -> list[Record]:
    """The complete records of a figure at a scale, by name.

    Args:
        source: a folder laid out as ``results/``, a runs directory, or ``wandb:entity/project``.
        figure: the name of its folder in ``results/``.
        scale: see ``configs/scale``.

    Raises:
        UserError: W&B cannot be read.
    """
    folder = Path(source) / figure / scale / "runs"
    return load_records(folder) if folder.is_dir() else load_records(source, figure, scale)


def arms(
    source: Path | str, figure: str, scale: str, *required: str, also: Iterable[str] = ()
) -> dict[str, list[Record]]:
    """The records of a figure's arms, by variant and seed; of several configurations of one the committed one.

    Args:
        source: see `records`.
        figure: see `records`.
        scale: see `records`.
        required: variants that must be there.
        also: variants that are taken, too, where they are there.

    Raises:
        UserError: a variant has no record, or records of several configurations none of which is committed.
    """
    return chosen(records(source, figure, scale), figure, scale, records(COMMITTED, figure, scale), required, also)


def chosen(
    found: list[Record], figure: str, scale: str, committed: list[Record], required: Iterable[str], also: Iterable[str]
) -> dict[str, list[Record]]:
    """`arms` of records that are there."""
    present = {record.variant for record in found}
    wanted = dict.fromkeys([*required, *(name for name in also if name in present)])
    return by_variant(found, *wanted, prefer={record.group for record in committed}, figure=figure, scale=scale)


def evaluation(source: Path | str, scale: str) -> Evaluation:
    """Figure 4's evaluation at a scale.

    Raises:
        UserError: there is none, or W&B cannot be read.
    """
    name = f"figure4-{scale}"
    if wandb_source.is_wandb(source):
        return load_evaluation(wandb_source.fetch_evaluation(source, name), scale)
    committed = Path(source) / "figure4" / scale
    return load_evaluation(committed if committed.is_dir() else Path(source) / "evaluations" / name, scale)
