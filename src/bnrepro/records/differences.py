"""How runs differ: in overrides that their names do not show, and in numbers from their committed records."""

import shlex
from collections.abc import Iterable, Mapping

from bnrepro.config.schema import Config, walk

Choices = dict[str, str]  # typed values by key

IDENTITY_FREE = {key for key, field, _ in walk(Config()) if not field.metadata.get("identity", True)}
LEFT_OUT = IDENTITY_FREE - {"experiment", "scale"} | {"hydra", "sweep"}


def chosen(overrides: Iterable[str]) -> Choices:
    """Return the overrides that say what a run is. The seed is left out because it is in the run's name."""
    pairs = dict(word.lstrip("+").split("=", 1) for word in overrides if "=" in word)
    return {key: v for key, v in pairs.items() if not LEFT_OUT.intersection((key, key.replace("/", ".").split(".")[0]))}


def of_command(command: str) -> Choices:
    """Return `chosen` of the command that a record holds."""
    return chosen(shlex.split(command)[2:])


def as_typed(choices: Iterable[tuple[str, str]]) -> str:
    """Return keys and values as they are typed."""
    return " ".join(f"{key}={value}" for key, value in choices)


def differing(runs: Mapping[str, tuple[str, Choices]]) -> dict[str, str]:
    """Return, by name of a run, the overrides that not all runs of its variant have, as they are typed.

    ``runs`` holds, by name, the variant of a run and its `chosen` overrides.
    """
    shared: dict[str, set[tuple[str, str]]] = {}
    for variant, choices in runs.values():
        shared[variant] = shared.get(variant, set(choices.items())) & choices.items()
    return {
        name: as_typed(item for item in choices.items() if item not in shared[variant])
        for name, (variant, choices) in runs.items()
    }
