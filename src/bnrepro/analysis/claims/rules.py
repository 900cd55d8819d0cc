"""The parts of a rule: what is measured, which arms are compared, in which unit, and what the result must be."""

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

VERDICTS = ("holds", "fails", "inconclusive", "contested", "untested")
UNITS = {  # the factor by which a value is shown, and the name of its unit: an accuracy of 0.5 is shown as 50 points
    "number": (1, ""),
    "times": (1, ""),
    "points": (100, " points"),
    "nats": (1, " nats"),
    "widths": (1, " widths"),
}
BOUNDS = {  # each bound in words
    "above": "above ",
    "below": "below ",
    "at_least": "at least ",
    "at_most": "at most ",
    "within": "within ±",
    "equals": "equals ",
    "between": "between ",
}


@dataclass(frozen=True)
class Rule:
    """A bound that a number, or a whole interval, must obey.

    ``within`` means ±value; for a ratio it is a factor: within 1.25 means from 1 / 1.25 to 1.25.
    """

    bound: str  # a key of `BOUNDS`
    value: Any  # a number; for ``between`` the lower and the upper one
    ratio: bool = False

    @property
    def allowed(self) -> tuple[float, float]:
        """The smallest and the largest value that obeys the rule."""
        if self.bound == "between":
            return tuple(self.value)
        if self.bound == "within":
            return (1 / self.value if self.ratio else -self.value), self.value
        lower = self.value if self.bound in ("above", "at_least", "equals") else -math.inf
        upper = self.value if self.bound in ("below", "at_most", "equals") else math.inf
        return lower, upper

    @property
    def edges(self) -> tuple[float, ...]:
        """The values at which the rule begins or ceases to be obeyed."""
        return tuple(dict.fromkeys(edge for edge in self.allowed if math.isfinite(edge)))

    def judge(self, low: float, high: float) -> str:
        """Return ``holds`` if the whole interval obeys the rule, ``fails`` if none does, else ``inconclusive``."""
        least, most = self.allowed
        if high < least or low > most:
            return "fails"
        if self.bound in ("above", "below"):  # the edge itself does not obey these two
            return "holds" if least < low and high < most else "inconclusive"
        return "holds" if least <= low and high <= most else "inconclusive"

    def text(self, unit: str) -> str:
        """Return the rule in words."""
        times, name = UNITS[unit]
        words = "within a factor of " if self.bound == "within" and self.ratio else BOUNDS[self.bound]
        values = self.value if self.bound == "between" else [self.value]
        return words + " and ".join(f"{times * value:g}" for value in values) + name


@dataclass(frozen=True)
class Experiment:
    """Where the records of an experiment are, and what its arms have in common.

    ``base`` holds values of its configuration, ``usual`` those that its arms choose instead; an arm's own choices
    override both. ``command`` made the records, where that command cannot be derived from the arms.
    """

    name: str
    records: str  # a folder below results/
    base: dict[str, Any]
    usual: dict[str, Any] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True)
class Part:
    """One condition of a claim: on a ``number`` of the identities, by the ``report`` of a figure, or on arms."""

    what: str = ""
    reading: str = ""
    rule: Rule | None = None
    number: str | None = None
    report: str | None = None
    experiment: str | None = None
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    measure: dict[str, Any] = field(default_factory=dict)
    compare: str | dict[str, float] = ""
    kind: str = "value"  # ratio, difference or value
    unit: str = "number"  # a key of `UNITS`
    seeds: int = 0  # the number that the statistic needs
    first_seed: int = 0  # it takes this seed and those that follow, and no others
    check: bool = False  # a check is not part of the claim, but if it does not hold the reading says nothing

    @cached_property
    def weights(self) -> dict[str, float]:
        """The arms that are compared, with their weights in the sum; for a ratio, in the sum of the logarithms."""
        if isinstance(self.compare, dict):
            return self.compare
        first, *second = re.split(" [-/] ", self.compare)
        return {first: 1.0} | dict.fromkeys(second, -1.0)

    @property
    def ratio(self) -> bool:
        """Whether it is a ratio, whose logarithms are averaged."""
        return self.kind == "ratio"


@dataclass(frozen=True)
class Claim:
    """A claim before it is judged, with the keys of its file."""

    id: str
    place: str
    claim: str
    measurement: str
    literature: dict[str, str]  # its stance, and what it says
    paper: str | None = None
    parts: list[Part] = field(default_factory=list)
    all_of: list[str] = field(default_factory=list)
    text: str | None = None
    untested: str | None = None
    test: dict[str, str] = field(default_factory=dict)  # for an empirical claim: fair or weak, and why

    @property
    def kind(self) -> str:
        """``empirical``, ``exact`` (computed without training) or ``no measurement`` of its own."""
        return "no measurement" if not self.parts else "empirical" if self.test else "exact"

    @property
    def experiments(self) -> list[str]:
        """The experiments that it needs records of, in the order of the parts."""
        return list(dict.fromkeys(part.experiment for part in self.parts if part.experiment))
