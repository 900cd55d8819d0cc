"""Checking a training command before Hydra sees it, so that a slip costs one line and not a traceback."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from bnrepro.config import Config
from bnrepro.errors import UserError, suggest

FLAGS_THAT_SHOW_ONE_RUN = ("--cfg", "-c", "--info", "-i")
FLAGS_THAT_ONLY_SHOW = ("--help", "-h", "--hydra-help", "--shell-completion", "--version", *FLAGS_THAT_SHOW_ONE_RUN)
MULTIRUN = {"-m", "--multirun"}


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    for field in fields(config):
        value = getattr(config, field.name)
        yield prefix + field.name
        if is_dataclass(value):
            yield from _keys(value, f"{prefix}{field.name}.")


def options(configs: Path, group: str) -> list[str]:
    """The names a config group offers, subfolders included: ``figure1/bn`` for ``experiment``."""
    return sorted(
        path.relative_to(configs / group).with_suffix("").as_posix() for path in (configs / group).rglob("*.yaml")
    )


def _check_value(override: Override, group: str, configs: Path) -> None:
    if isinstance(override.value(), Glob):  # it can only match what there is
        return
    sweep = override.is_sweep_override()
    values = list(override.sweep_string_iterator()) if sweep else [override.get_value_element_as_str()]
    known = options(configs, group)
    for value in values:
        if value not in (*known, "null"):
            raise UserError(f"unknown {group}={value}; {suggest(value, known)}")


def typed_overrides(hydra: DictConfig) -> list[str]:
    """The overrides of Hydra's own configuration as they were typed: an interpolation is for each job to resolve."""
    return OmegaConf.to_container(hydra.overrides.task, resolve=False)


def check(arguments: list[str], configs: Path) -> None:
    """Check the overrides of a training command against the config groups and the schema.

    Raises:
        UserError: an override cannot be read, or names an unknown group choice or key.
    """
    flags = {argument.split("=")[0] for argument in arguments if argument.startswith("-")}
    if flags & MULTIRUN and (shown := flags.intersection(FLAGS_THAT_SHOW_ONE_RUN)):
        raise UserError(f"{shown.pop()} shows what one run would be; leave -m out")
    if flags.intersection(FLAGS_THAT_ONLY_SHOW):
        return
    words = [argument for argument in arguments if not argument.startswith("-")]
    try:
        overrides = OverridesParser.create().parse_overrides(words)
    except OverrideParseException as error:
        raise UserError(f"cannot read the override {error.override!r}; write key=value") from None
    groups = [path.name for path in configs.iterdir() if path.is_dir() and path.name != "hydra"]
    keys = list(_keys(Config()))
    for override in overrides:
        key = override.key_or_group
        if key.split(".")[0].split("/")[0] == "hydra" or key.startswith("scale."):
            continue
        if key in groups:
            _check_value(override, key, configs)
        elif key not in keys:
            raise UserError(f"unknown key {key}; {suggest(key, keys + groups)}")
    named = {override.key_or_group for override in overrides}
    if "sweep" in named and not flags & MULTIRUN:
        raise UserError("sweep=NAME is many runs; add -m")
    if not named & {"experiment", "sweep"}:
        raise UserError(
            f"which experiment? add experiment=NAME with one of: {', '.join(options(configs, 'experiment'))}"
        )
