"""The parts that a rule is made of: what is measured, what it is compared with, and in which unit."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

STANCES = ("supports", "contradicts", "mixed", "none")
UNITS = {  # what a value is shown times, and of what; accuracies are fractions, and shown in points
    "number": (1, ""),
    "times": (1, ""),
    "points": (100, " points"),
    "nats": (1, " nats"),
    "widths": (1, " widths"),
}
VERDICTS = ("holds", "fails", "inconclusive", "contested", "untested")


@dataclass(frozen=True)
class Rule:
    """What a number, or the whole of an interval, must do to hold; one of `BOUNDS` and its value.

    ``within`` is of a ratio a factor: within 1.25 is from 1 / 1.25 to 1.25.
    """

    bound: str
    value: Any
    ratio: bool = False

    @property
    def edges(self) -> tuple[float, ...]:
        """Where it changes from obeyed to not."""
        if self.bound == "between":
            return tuple(self.value)
        if self.bound == "within":
            return (1 / self.value if self.ratio else -self.value, self.value)
        return (self.value,)

    def text(self, unit: str) -> str:
        """In words."""
        times, name = UNITS[unit]
        if self.bound == "between":
            return "between {:g} and {:g}".format(*(times * edge for edge in self.value)) + name
        words = {"within": "within a factor of " if self.ratio else "within ±", "at_least": "at least "}
        words |= {"at_most": "at most "}
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
    """One thing that has to hold; see the module. ``kind`` is what it ``is``, ``unit`` a key of `UNITS`."""

    what: str
    reading: str
    rule: Rule | None
    number: str | None = None
    report: str | None = None
    experiment: str | None = None
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    measure: dict[str, Any] = field(default_factory=dict)
    compare: str | dict[str, float] = ""
    kind: str = "value"
    unit: str = "number"
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
        """Whether it is a ratio, so that logarithms are averaged."""
        return self.kind == "ratio"


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
    test: str = ""  # fair or weak, of an empirical claim
    why: str = ""  # the test is fair or weak

    @property
    def kind(self) -> str:
        """``empirical``, ``identity`` (exact, so that it can hardly fail) or ``no measurement`` of its own."""
        return "no measurement" if not self.parts else "empirical" if self.test else "identity"

    @property
    def experiments(self) -> list[str]:
        """The experiments whose records it needs, in the order of the parts."""
        return list(dict.fromkeys(part.experiment for part in self.parts if part.experiment))
