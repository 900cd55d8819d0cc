"""Which keys the files of claims may have: a key that nobody reads is a mistake, and named in one line."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from bnrepro.config.schema import Config
from bnrepro.errors import UserError, suggest

BOUNDS = ("above", "below", "at_least", "at_most", "within", "equals", "between")
COMPARED = ("ratio", "difference", "value")  # what a part compares with its edge
KINDS: dict[str, tuple[str, ...]] = {  # of measures of one run, and the keys that each needs besides
    "final": (),
    "highest": (),
    "area": (),
    "late": ("from",),
    "difference": (),
    "gap": (),
    "drift": ("layer",),
    "probe": ("sites", "at"),
}
ACROSS: dict[str, tuple[str, ...]] = {  # of measures of an arm with several cells, each a value of the named key
    "best": ("cells", "of", "choose_on", "test_on"),
    "largest": ("cells", "of", "share"),
    "spread": ("cells", "of"),
}
SETTLED = ("parts", "all_of", "text")  # by which a claim is judged
CLAIM = ("place", "claim", "measurement", "paper", "seeds", *SETTLED, "untested", "test", "literature")
TESTS = ("fair", "weak")  # how well the runs put an empirical claim to the test
MEASURED = ("experiment", "arms", "measure", "compare", "is", "unit")
PARTS = {  # the keys of the three kinds of part: those that it needs, and those that it may have
    "experiment": (("what", *MEASURED), ("reading", "check", "seeds", *BOUNDS)),
    "number": (("what", "number"), ("reading", "check", "is", "unit", *BOUNDS)),
    "report": (("report",), ()),
}
CONFIGURED = [
    f"{section}.{key}" for section, values in asdict(Config()).items() if isinstance(values, dict) for key in values
]


def check_keys(raw: Any, needed: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Refuse anything but a mapping that has all keys that are needed, and otherwise only those that are allowed.

    Raises:
        UserError: it is not so; the message names the place, the key and the nearest known one.
    """
    if not isinstance(raw, dict):
        raise UserError(f"{where}: {raw!r} is not a mapping of keys to values")
    known = [*needed, *allowed]
    if unknown := [key for key in raw if key not in known]:
        raise UserError(f"{where}: unknown key {unknown[0]}; {suggest(str(unknown[0]), known)}")
    if missing := [key for key in needed if raw.get(key) is None]:
        raise UserError(f"{where}: no {missing[0]}")


def check_settings(raw: dict[str, Any], where: str) -> None:
    """Refuse dotted keys that no configuration has.

    Raises:
        UserError: there is one.
    """
    check_keys(raw, (), CONFIGURED, where)


def check_measure(spec: Any, where: str) -> None:
    """Refuse a measure that is none of `KINDS` and `ACROSS`, or lacks what its kind needs.

    Raises:
        UserError: it is so.
    """
    known = KINDS | ACROSS
    if not isinstance(spec, dict) or len(kinds := [key for key in spec if key in known]) != 1:
        given = ", ".join(spec) if isinstance(spec, dict) else repr(spec)
        raise UserError(f"{where}: a measure is one of {', '.join(known)}; it says {given}")
    check_keys(spec, (kinds[0], *known[kinds[0]]), (), where)
    if kinds[0] not in ACROSS:
        return
    check_settings({spec[kinds[0]]: None}, where)
    check_measure(spec["of"], where)
    if kinds[0] == "best":
        seeds = {name: spec[name] for name in ("choose_on", "test_on")}
        if wrong := [name for name, of in seeds.items() if not (isinstance(of, list) and of)]:
            raise UserError(f"{where}: {wrong[0]} is a list of seeds, as [0, 1, 2, 3, 4]")
        if shared := sorted(set(seeds["choose_on"]) & set(seeds["test_on"])):
            raise UserError(f"{where}: seed {shared[0]} is in choose_on and in test_on; choose on other seeds")
