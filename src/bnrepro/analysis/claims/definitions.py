"""What is claimed, how it is measured and by which rule it is judged: ``configs/claims/*.yaml``, checked.

A claim's file says where it stands, what it says in our words, the paper's number if there is one, how it is measured,
and in ``parts`` what has to hold. A part is one of three: a ``number`` of the exact identities, a verdict of another
``report``, or a statistic over the seeds of arms of an ``experiment``. Parts of one ``reading`` must hold together; a
claim with several readings is judged in each. Instead of parts a claim may follow from others (``all_of``) or from
reading alone (``text``).
"""

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from bnrepro.errors import UserError

CLAIMS = [*(f"C{k:02}" for k in range(1, 49)), *(f"S{k}" for k in range(1, 11))]
EXPERIMENTS = "experiments"  # the file that says where the records of each experiment are
SCALE = "mini"  # of the claims' own experiments
BOUNDS = ("above", "below", "at_least", "at_most", "within", "equals", "between")
AS_GIVEN = {"number", "report", "experiment", "arms", "measure", "compare", "check"}  # fields of a part
STANCES = ("supports", "contradicts", "mixed", "none")
UNITS = {"": (1, ""), "points": (100, " points"), "nats": (1, " nats")}  # what a value is shown times, and of what
VERDICTS = ("holds", "fails", "inconclusive", "contested", "untested")


@dataclass(frozen=True)
class Rule:
    """What a number, or the whole of an interval, must do to hold; one of `BOUNDS` and its value."""

    bound: str
    value: Any

    @property
    def edges(self) -> tuple[float, ...]:
        """Where it changes from obeyed to not."""
        if self.bound == "between":
            return tuple(self.value)
        return (-self.value, self.value) if self.bound == "within" else (self.value,)

    def text(self, unit: str = "") -> str:
        """In words."""
        if self.bound == "between":
            return "between {:g} and {:g}".format(*self.value)
        words = {"within": "within ±", "at_least": "at least ", "at_most": "at most "}
        times, name = UNITS[unit]
        return f"{words.get(self.bound, self.bound + ' ')}{times * self.value:g}{name}"


@dataclass(frozen=True)
class Experiment:
    """Where records are below results/ and what their arms have in common.

    ``base`` is what its configuration says by itself, ``usual`` what its arms choose instead; an arm's own choices go
    over both. ``command`` is the one that made the records, where it cannot be put together from these.
    """

    name: str
    records: str
    base: dict[str, Any]
    usual: dict[str, Any] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True)
class Part:
    """One thing that has to hold; see the module."""

    what: str
    reading: str
    rule: Rule | None
    number: str | None = None
    report: str | None = None
    experiment: str | None = None
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    measure: dict[str, Any] = field(default_factory=dict)
    compare: str | dict[str, float] = ""
    seeds: int = 0
    check: bool = False  # not part of the claim: without it the reading says nothing

    @cached_property
    def weights(self) -> dict[str, float]:
        """The arms that are compared and their weights in a sum; of their logarithms if it is a `ratio`."""
        if isinstance(self.compare, dict):
            return self.compare
        one, *other = re.split(" [-/] ", self.compare)
        return {one: 1.0} | dict.fromkeys(other, -1.0)

    @property
    def ratio(self) -> bool:
        """Whether arms are divided, or one is a ratio itself, so that logarithms are averaged."""
        return isinstance(self.compare, str) and (" / " in self.compare or "/" in str(self.measure.get("sites", "")))

    @property
    def unit(self) -> str:
        """Of the value, a key of `UNITS`: accuracies are fractions, and shown in points."""
        if "gap" in self.measure:
            return "nats"
        asked = str(self.measure)
        return (
            "points"
            if not self.ratio and "largest" not in asked and ("top1" in asked or "statistics/" in asked)
            else ""
        )


@dataclass(frozen=True)
class Claim:
    """One row of the ledger before it is judged."""

    id: str
    place: str
    claim: str
    measurement: str
    paper: str | None
    parts: list[Part]
    all_of: list[str]
    text: str | None
    untested: str | None
    stance: str
    says: str

    @property
    def experiments(self) -> list[str]:
        """The experiments whose records it needs, in the order of the parts."""
        return list(dict.fromkeys(part.experiment for part in self.parts if part.experiment))


def _rule(raw: dict[str, Any], where: str) -> Rule | None:
    given = [bound for bound in BOUNDS if raw.get(bound) is not None]
    if "report" in raw:
        return None
    if len(given) != 1:
        raise UserError(f"{where}: a part needs one of {', '.join(BOUNDS)}; it has {', '.join(given) or 'none'}")
    value = raw[given[0]]
    return Rule(given[0], [float(v) for v in value] if isinstance(value, list) else float(value))


def _part(raw: dict[str, Any], seeds: int, where: str) -> Part:
    known = {*Part.__dataclass_fields__, *BOUNDS} - {"rule"}
    if unknown := sorted(set(raw) - known):
        raise UserError(f"{where}: unknown key {unknown[0]}; a part has {', '.join(sorted(known))}")
    if sum(key in raw for key in ("number", "report", "experiment")) != 1:
        raise UserError(f"{where}: a part needs one of number, report and experiment")
    part = Part(
        what=raw.get("what", ""),
        reading=raw.get("reading", ""),
        rule=_rule(raw, where),
        seeds=raw.get("seeds", seeds),
        **{key: raw[key] for key in AS_GIVEN & raw.keys()},
    )
    if part.experiment and (strangers := sorted(set(part.weights) - set(part.arms))):
        raise UserError(f"{where}: compare names {strangers[0]}, which is no arm; they are {', '.join(part.arms)}")
    return part


def load_claims(folder: Path) -> dict[str, Claim]:
    """All claims by id, in the order of `CLAIMS`.

    Raises:
        UserError: a file is missing, or says something that is not understood.
    """
    found = {}
    for name in CLAIMS:
        path = folder / f"{name}.yaml"
        if not path.is_file():
            raise UserError(f"no {path}")
        raw = yaml.safe_load(path.read_text())
        if sum(key in raw for key in ("parts", "all_of", "text")) != 1:
            raise UserError(f"{path}: a claim needs one of parts, all_of and text")
        literature = raw["literature"]
        if literature["stance"] not in STANCES:
            raise UserError(f"{path}: stance={literature['stance']} is not one of {', '.join(STANCES)}")
        found[name] = Claim(
            id=name,
            place=raw["place"],
            claim=" ".join(raw["claim"].split()),
            measurement=" ".join(raw["measurement"].split()),
            paper=raw.get("paper"),
            parts=[_part(part, raw.get("seeds", 0), str(path)) for part in raw.get("parts", [])],
            all_of=raw.get("all_of", []),
            text=raw.get("text"),
            untested=raw.get("untested"),
            stance=literature["stance"],
            says=literature["says"],
        )
    return found


def load_experiments(folder: Path, scale: str = SCALE) -> dict[str, Experiment]:
    """Where the records of each experiment are; those of the claims' own at this scale."""
    raw = yaml.safe_load((folder / f"{EXPERIMENTS}.yaml").read_text())
    found = {name: Experiment(name, **entry) for name, entry in raw.items()}
    own = f"/{SCALE}"
    return {
        name: replace(one, records=one.records.removesuffix(own) + f"/{scale}") if one.records.endswith(own) else one
        for name, one in found.items()
    }
