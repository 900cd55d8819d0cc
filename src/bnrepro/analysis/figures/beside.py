"""Variants of one's own beside the networks of Figure 1 or 2: how far each gets, and in what it differs from them.

A variant is compared with those networks of the figure that are nearest to it: that differ from it in the fewest
sections of the configuration. A normaliser is so set beside the same network with BN and without, a rate beside the
same network at other rates.
"""

import json
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.figure2 import Arms
from bnrepro.analysis.figures.figure2_table import points, times
from bnrepro.analysis.reading.curves import paired
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.text import grid, paragraph, percent, reached
from bnrepro.config.schema import Config
from bnrepro.records.identity import canonical

NOT_TRAINING = {"probe", "protocol", "data_fingerprint"}  # of a canonical configuration: they change no network


def settings(record: Record) -> dict[str, dict[str, Any]]:
    """What its network and training have other than the frozen defaults, by section of the configuration."""
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), record.config))
    found = json.loads(canonical(config, ""))
    return {section: values for section, values in found.items() if section not in NOT_TRAINING}


def differences(ours: Record, theirs: Record) -> dict[str, list[str]]:
    """By section, what our configuration says where theirs says something else."""
    mine, other, usual = settings(ours), settings(theirs), Config()
    found: dict[str, list[str]] = {}
    for section in sorted(mine.keys() | other.keys()):
        one, two = mine.get(section, {}), other.get(section, {})
        for key in sorted(one.keys() | two.keys()):
            default = getattr(getattr(usual, section), key)
            if (value := one.get(key, default)) != two.get(key, default):
                found.setdefault(section, []).append(f"{section}.{key}={value}")
    if ours.status.get("data_fingerprint") != theirs.status.get("data_fingerprint"):
        found.setdefault("data", []).append("other images")
    return found


def nearest(ours: Record, arms: Arms) -> dict[str, str]:
    """The arms that differ from a variant in the fewest sections, by name, and in what."""
    found = {name: differences(ours, records[0]) for name, records in arms.items()}
    fewest = min(map(len, found.values()))
    return {
        name: ", ".join(word for words in sections.values() for word in words) or "nothing"
        for name, sections in found.items()
        if len(sections) == fewest
    }


def reached_table(arms: Arms, goals: Sequence[float]) -> str:
    """One row per variant: steps to accuracies, and the accuracy at the end."""
    head = ["variant", "n", *(f"steps to {goal:.1%}" for goal in goals), "final top-1, %"]
    rows = [
        [
            name,
            str(len(records)),
            *(reached(figure2.steps(records, goal)) for goal in goals),
            percent(Estimate.of(figure2.finals(records))),
        ]
        for name, records in arms.items()
    ]
    return grid(head, rows)


def _compared(ours: list[Record], theirs: list[Record], goal: float) -> list[str]:
    if not paired(ours, theirs)[0]:
        return ["no seed in common", ""]
    return [points(theirs, ours), times(theirs, ours, goal)]


def differences_table(own: Arms, arms: Arms, goal: float) -> str:
    """One row a variant and network near it: in what they differ, and by how much, paired by seed."""
    head = ["variant", "beside", "what it has instead", "final top-1, points more"]
    rows = [
        [name, f"{other} (n = {len(arms[other])})", f"`{told}`", *_compared(records, arms[other], goal)]
        for name, records in own.items()
        for other, told in nearest(records[0], arms).items()
    ]
    return grid([*head, f"times fewer steps to {goal:.1%}"], rows)


def table(own: Arms, arms: Arms, shown: Sequence[str], goals: Sequence[float]) -> str:
    """The whole of beside.md.

    Args:
        own: the variants, by name.
        arms: the figure's networks, by title.
        shown: those of them that always have a row.
        goals: accuracies to be reached; the last one is what speed is measured by.
    """
    near = {other for records in own.values() for other in nearest(records[0], arms)}
    rows = {name: records for name, records in arms.items() if name in near or name in shown} | own
    text = """Each variant stands beside the networks of the figure that are nearest to it. Differences are paired by
    seed: a seed has the same initial draws, order of the images and distortions in all of them. ± is the standard
    deviation over seeds, brackets are 95 % Student-t intervals, for ratios on logarithms. Steps to an accuracy are
    where the running median over three evaluations crosses it, median (range); ≥ and ≤ mark bounds, where a seed never
    gets there and counts with all steps. Final accuracies have the population statistics of Alg. 2."""
    return "\n".join(
        [
            "# Variants of one's own",
            "",
            paragraph(text),
            "",
            differences_table(own, arms, goals[-1]),
            reached_table(rows, goals),
        ]
    )
