"""What was varied: the overrides in which runs differ, which their names do not show."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from bnrepro.config.schema import Config

Choices = dict[str, str]  # key -> value, as typed


def _free(section: Any, prefix: str = "") -> set[str]:
    """The keys that do not change what a run measures."""
    found = set()
    for field in fields(section):
        value = getattr(section, field.name)
        if not field.metadata.get("identity", True):
            found.add(prefix + field.name)
        elif is_dataclass(value):
            found |= _free(value, f"{prefix}{field.name}.")
    return found


LEFT_OUT = _free(Config()) - {"experiment", "scale"} | {"hydra", "sweep"}


def chosen(overrides: Iterable[str]) -> Choices:
    """Those of some overrides that say what a run is; its seed is in its name."""
    pairs = dict(word.lstrip("+").split("=", 1) for word in overrides if "=" in word)
    return {key: v for key, v in pairs.items() if not LEFT_OUT.intersection((key, key.replace("/", ".").split(".")[0]))}


def of_command(command: str) -> Choices:
    """`chosen` of the command that a record keeps."""
    return chosen(shlex.split(command)[2:])


def in_words(choices: Choices) -> str:
    """As it is typed."""
    return " ".join(f"{key}={value}" for key, value in choices.items())


def differing(runs: Mapping[str, tuple[str, Choices]]) -> dict[str, str]:
    """By name of a run, the overrides that not all runs of its variant have, as they are typed.

    Args:
        runs: by name, the variant and what `chosen` gave.
    """
    shared: dict[str, set[tuple[str, str]]] = {}
    for variant, choices in runs.values():
        shared[variant] = shared.get(variant, set(choices.items())) & set(choices.items())
    return {
        name: in_words(dict(c for c in v.items() if c not in shared[variant])) for name, (variant, v) in runs.items()
    }
