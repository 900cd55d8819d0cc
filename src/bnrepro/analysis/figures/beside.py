"""A user's own variants beside the networks of Figure 1 or 2: their accuracies, and what differs.

A variant is compared with the nearest networks of the figure: those whose configuration differs from it in the fewest
sections. A new normaliser is thus compared with the same network with BN and without, and a rate with other rates.
"""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.figures.figure2_table import points, times
from bnrepro.analysis.reading.curves import paired
from bnrepro.analysis.reading.load import Arms, Record, Source, by_variant, load_records
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render import style
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import Page, Table
from bnrepro.analysis.render.text import OF_RATIOS, OVER_SEEDS, percent, reached
from bnrepro.config.schema import Config
from bnrepro.errors import UserError, suggest
from bnrepro.records.files import write_text
from bnrepro.records.identity import canonical

NOT_TRAINING = {"probe", "protocol", "data_fingerprint"}  # sections of a canonical configuration that change no network


def settings(record: Record) -> dict[str, Any]:
    """Return the settings of a network and its training that are not the frozen defaults, by dotted key."""
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), record.config))
    return {
        f"{section}.{key}": value
        for section, values in json.loads(canonical(config, "")).items()
        if section not in NOT_TRAINING
        for key, value in values.items()
    }


def differences(ours: Record, theirs: Record) -> dict[str, list[str]]:
    """Return our settings that differ from theirs, by section of the configuration."""
    mine, other, defaults = settings(ours), settings(theirs), Config()
    changes: dict[str, list[str]] = {}
    for setting in sorted(mine.keys() | other.keys()):
        section, key = setting.split(".")
        default = getattr(getattr(defaults, section), key)
        if (value := mine.get(setting, default)) != other.get(setting, default):
            changes.setdefault(section, []).append(f"{setting}={value}")
    if ours.status.get("data_fingerprint") != theirs.status.get("data_fingerprint"):
        changes.setdefault("data", []).append("other images")
    return changes


def nearest(ours: Record, arms: Arms) -> dict[str, str]:
    """Return the names of the arms that differ from a variant in the fewest sections, and the settings that differ."""
    changes = {name: differences(ours, records[0]) for name, records in arms.items()}
    fewest = min(map(len, changes.values()))
    return {
        name: ", ".join(itertools.chain(*sections.values())) or "nothing"
        for name, sections in changes.items()
        if len(sections) == fewest
    }


def reached_table(arms: Arms, goals: Sequence[float]) -> Table:
    """Tabulate steps to accuracies, and the accuracy at the end, of each variant."""
    return Table.of(
        [
            {"variant": name, "n": str(len(records))}
            | {f"steps to {goal:.1%}": reached(figure2.steps(records, goal)) for goal in goals}
            | {"final top-1, % (± sd)": percent(Estimate.of(figure2.finals(records)))}
            for name, records in arms.items()
        ]
    )


def differences_table(own: Arms, arms: Arms, goal: float) -> Table:
    """Tabulate how each variant differs from the networks near it, and by how much, paired by seed."""
    rows = []
    for name, records in own.items():
        for other, changes in nearest(records[0], arms).items():
            theirs = arms[other]
            compared = ["no seed in common", ""]
            if paired(records, theirs)[0]:
                compared = [points(theirs, records), times(theirs, records, goal)]
            rows.append([name, f"{other} (n = {len(theirs)})", f"`{changes}`", *compared])
    speed = f"times fewer steps to {goal:.1%} {OF_RATIOS}"
    return Table(["variant", "beside", "what it has instead", f"final top-1, points more {OVER_SEEDS}", speed], rows)


def page(own: Arms, arms: Arms, shown: Sequence[str], goals: Sequence[float]) -> Page:
    """Make beside.md.

    Args:
        own: the user's variants, by name.
        arms: the figure's networks, by title.
        shown: the networks that always have a row.
        goals: the accuracies whose steps are counted; speed is measured by the last one.
    """
    near = {other for records in own.values() for other in nearest(records[0], arms)}
    rows = {name: records for name, records in arms.items() if name in near or name in shown} | own
    tables = [differences_table(own, arms, goals[-1]), reached_table(rows, goals)]
    return Page("Variants of one's own", prose("beside", "opening"), tables)


def report(
    figure: Figure,
    names: Sequence[str],
    source: Source,
    networks: Source,
    scale: str | None,
    results: Path,
    out: Path,
) -> list[Path]:
    """Draw and tabulate a user's own variants in a figure: write beside.png, beside.svg and beside.md.

    Args:
        figure: a figure that can draw such variants.
        names: the names of the variants.
        source: the records of the variants.
        networks: the records of the figure's own networks.
        scale: the scale of the records, if it is not the figure's usual one.
        results: the committed results, which say which configuration of a network is meant.
        out: the folder to write to.
    """
    scale = scale or figure.scale
    records = load_records(source, figure.name, scale)
    known = sorted({record.variant for record in records} - set(figure.titles))
    for name in names:
        if name in figure.titles:
            raise UserError(
                f"{name} is a network of {figure.name} itself; train yours under another name, variant=NAME"
            )
        if name not in known:
            hint = f"; {suggest(name, known)}" if known else ""
            raise UserError(f"no complete record of {name} for {figure.name} at scale={scale} in {source}{hint}")
    arms = figure.arms(networks, scale, results)
    own, titled = by_variant(records, *names), {figure.titles[name]: arm for name, arm in arms.items()}
    table = page(own, titled, [figure.titles[name] for name in figure.needed], figure.goals(arms))
    paths = style.save(figure.with_own(arms, own), out / "beside")
    write_text(out / "beside.md", str(table))
    return [*paths, out / "beside.md"]
