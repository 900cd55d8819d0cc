"""Checking a training command before Hydra sees it, so that a slip costs one line and not a traceback."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.core.plugins import Plugins
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from bnrepro.config.folders import CONFIGS
from bnrepro.config.schema import Config
from bnrepro.errors import UserError, suggest

FLAGS_THAT_SHOW_ONE_RUN = ("--cfg", "-c", "--info", "-i")
FLAGS_THAT_ONLY_SHOW = ("--help", "-h", "--hydra-help", "--version", *FLAGS_THAT_SHOW_ONE_RUN)
FLAGS_WITH_A_VALUE = ("--cfg", "-c", "--info", "-i", "--package", "-p", "--config-name", "-cn", "--config-path", "-cp")
MULTIRUN = {"-m", "--multirun"}
NOT_CHOSEN = ("hydra", "claims")  # folders of configs/ that a run chooses nothing from by their own names
HYDRA_GROUPS = ("hydra/launcher", "hydra/sweeper")
USUAL_NAMES = {  # of other training programs: ours
    "lr": "optimizer.base_lr",
    "learning_rate": "optimizer.base_lr",
    "weight_decay": "optimizer.base_l2",
    "wd": "optimizer.base_l2",
    "epochs": "training.steps",
    "iterations": "training.steps",
    "max_steps": "training.steps",
    "bs": "training.batch_size",
    "activation": "model.nonlinearity",
    "wandb": "logger.mode",
}


def keys(config: Any, prefix: str = "") -> Iterator[str]:
    """Every key of the schema, sections included."""
    for field in fields(config):
        value = getattr(config, field.name)
        yield prefix + field.name
        if is_dataclass(value):
            yield from keys(value, f"{prefix}{field.name}.")


def groups(configs: Path) -> list[str]:
    """The config groups that a command chooses from."""
    return sorted(path.name for path in configs.iterdir() if path.is_dir() and path.name not in NOT_CHOSEN)


def options(configs: Path, group: str) -> list[str]:
    """The names a config group offers, subfolders and for a group of Hydra's plugins included: ``figure1/bn``."""
    folder, found = configs / group, []
    if group in HYDRA_GROUPS:
        Plugins.instance()  # they put their configurations into the store
        found = [name.removesuffix(".yaml") for name in ConfigStore.instance().list(group)]
    found += [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")]
    return sorted(set(found))


def choices(configs: Path) -> str:
    """What ``--help`` says of the config groups."""
    return "\n".join(f"{group}: {', '.join(options(configs, group))}" for group in groups(configs))


OmegaConf.register_new_resolver("config_groups", lambda: choices(CONFIGS), replace=True)  # configs/train.yaml's help


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


def _meant(key: str, known: list[str]) -> str:
    """What to type instead of an unknown key: the usual name's, the only one that ends so, or the most alike."""
    ends_so = [name for name in known if name.endswith(f".{key}")]
    if key in USUAL_NAMES or len(ends_so) == 1:
        return f"did you mean {USUAL_NAMES.get(key) or ends_so[0]}?"
    return suggest(key, known)


def in_one_line(error: Exception) -> str:
    """What Hydra says of a command, or this repository, without what helps nobody here."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if known := getattr(error, "options", None):  # of a config group without such a file
        return f"{lines[0]}; {suggest(error.missing_cfg_file.rpartition('/')[2], known)}"
    if unused := re.match(r"Could not override '(\w+)\.(\w+)'", lines[0]):
        section, name = unused.groups()
        return f"{section}.{name}: the chosen {section} has no {name}; leave it out, or choose another {section}=NAME"
    return " ".join(lines[:3])


def with_runs(arguments: list[str]) -> list[str]:
    """The arguments of an evaluation with those that are runs, and neither ``key=value`` nor a flag, as ``runs=[...]``.

    Raises:
        UserError: runs are given in both ways.
    """
    after_flag = {k for k, word in enumerate(arguments, 1) if word in FLAGS_WITH_A_VALUE}
    found = {k: w for k, w in enumerate(arguments) if "=" not in w and w[:1] != "-" and k not in after_flag}
    if not found:
        return arguments
    if any(word.startswith("runs=") for word in arguments):
        raise UserError(f"{next(iter(found.values()))} and runs=[...]: name the runs in one way")
    quoted = ",".join("'" + word.replace("'", r"\'") + "'" for word in found.values())
    return [*(word for k, word in enumerate(arguments) if k not in found), f"runs=[{quoted}]"]


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
    known_groups, known_keys = groups(configs), list(keys(Config()))
    for override in overrides:
        key = override.key_or_group
        if key in (*known_groups, *HYDRA_GROUPS):
            _check_value(override, key, configs)
        elif re.match(r"hydra\b", key):
            continue
        elif key not in known_keys and not key.startswith("scale."):
            raise UserError(f"unknown key {key}; {_meant(key, known_keys + known_groups)}")
        if override.is_sweep_override() and not flags & MULTIRUN:
            raise UserError(f"{override.input_line} is several runs; add -m")
    named = {override.key_or_group for override in overrides}
    if "sweep" in named and not flags & MULTIRUN:
        raise UserError("sweep=NAME is many runs; add -m")
    if not named & {"experiment", "sweep"}:
        raise UserError(
            f"which experiment? add experiment=NAME with one of: {', '.join(options(configs, 'experiment'))}"
        )
