"""The overrides of a command line: checked before Hydra sees them, so that a mistake costs one line."""

import re
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.core.plugins import Plugins
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from bnrepro.config.folders import CONFIGS
from bnrepro.config.schema import Config, walk
from bnrepro.errors import UserError, suggest

FLAGS_THAT_SHOW_ONE_RUN = ("--cfg", "-c", "--info", "-i")
FLAGS_THAT_ONLY_SHOW = ("--help", "-h", "--hydra-help", "--version", *FLAGS_THAT_SHOW_ONE_RUN)
FLAGS_WITH_A_VALUE = ("--cfg", "-c", "--info", "-i", "--package", "-p", "--config-name", "-cn", "--config-path", "-cp")
MULTIRUN = {"-m", "--multirun"}
OTHER_FOLDERS = ("hydra", "claims")  # folders of configs/ that are not config groups of a run
HYDRA_GROUPS = ("hydra/launcher", "hydra/sweeper")
USUAL_NAMES = {  # names of keys in other training programs, and the names here
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


def keys() -> list[str]:
    """Return every key of the schema, sections included."""
    return [key for key, _, _ in walk(Config())]


def groups(configs: Path) -> list[str]:
    """Return the config groups from which a command chooses."""
    return sorted(path.name for path in configs.iterdir() if path.is_dir() and path.name not in OTHER_FOLDERS)


def options(configs: Path, group: str) -> list[str]:
    """Return the choices of a config group as they are typed, such as ``figure1/bn``, also those of Hydra's plugins."""
    folder = configs / group
    names = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
    if group in HYDRA_GROUPS:
        Plugins.instance()  # this lets the plugins put their configurations into the store
        names |= {name.removesuffix(".yaml") for name in ConfigStore.instance().list(group)}
    return sorted(names)


def choices(configs: Path) -> str:
    """Return the config groups and their choices, for ``--help``."""
    return "\n".join(f"{group}: {', '.join(options(configs, group))}" for group in groups(configs))


OmegaConf.register_new_resolver("config_groups", lambda: choices(CONFIGS), replace=True)  # for configs/train.yaml


def typed_values(override: Override) -> list[str]:
    """Return the values of an override as they were typed: one, or several if it is swept."""
    swept = override.is_sweep_override()
    return list(override.sweep_string_iterator()) if swept else [override.get_value_element_as_str()]


def typed_overrides(hydra: DictConfig) -> list[str]:
    """Return the overrides of a command as they were typed; each job resolves its own interpolations."""
    return OmegaConf.to_container(hydra.overrides.task, resolve=False)


def with_runs(arguments: list[str]) -> list[str]:
    """Return the arguments of an evaluation with ``runs=[...]`` in place of the words that name runs."""
    after_flag = {k for k, word in enumerate(arguments, 1) if word in FLAGS_WITH_A_VALUE}
    runs = {
        k: word
        for k, word in enumerate(arguments)
        if ("=" not in word or Path(word).exists()) and word[:1] != "-" and k not in after_flag
    }
    if not runs:
        return arguments
    if any(word.startswith("runs=") for word in arguments):
        raise UserError(f"{next(iter(runs.values()))} and runs=[...]: name the runs in one way")
    quoted = ",".join("'" + word.replace("'", r"\'") + "'" for word in runs.values())
    return [*(word for k, word in enumerate(arguments) if k not in runs), f"runs=[{quoted}]"]


def check(arguments: list[str], configs: Path) -> None:
    """Raise a `UserError` if a training command has an unknown key, an unknown choice, or an unreadable override."""
    flags = {argument.split("=")[0] for argument in arguments if argument.startswith("-")}
    multirun = bool(flags & MULTIRUN)
    if multirun and (showing := flags.intersection(FLAGS_THAT_SHOW_ONE_RUN)):
        raise UserError(f"{showing.pop()} shows what one run would be; leave -m out")
    if flags.intersection(FLAGS_THAT_ONLY_SHOW):
        return
    try:
        overrides = OverridesParser.create().parse_overrides([word for word in arguments if word[:1] != "-"])
    except OverrideParseException as error:
        raise UserError(f"cannot read the override {error.override!r}; write key=value") from None
    for override in overrides:
        if override.is_delete():
            raise UserError(f"{override.input_line} would take away what a run needs; give it a value instead")
        _check_key(override, configs)
        if override.is_sweep_override() and not multirun:
            raise UserError(f"{override.input_line} is several runs; add -m")
    given = {override.key_or_group for override in overrides}
    if "sweep" in given and not multirun:
        raise UserError("sweep=NAME is many runs; add -m")
    if not given & {"experiment", "sweep"}:
        experiments = ", ".join(options(configs, "experiment"))
        raise UserError(f"which experiment? add experiment=NAME with one of: {experiments}")


def _check_key(override: Override, configs: Path) -> None:
    """Raise a `UserError` if there is no such key or group, or if a group has no such choice."""
    key, known_keys = override.key_or_group, keys()
    if key in (*groups(configs), *HYDRA_GROUPS):
        known = options(configs, key)
        is_glob = isinstance(override.value(), Glob)  # Hydra expands it to known choices
        for value in [] if is_glob else typed_values(override):
            if value not in known:
                raise UserError(f"unknown {key}={value}; {suggest(value, known)}")
    elif not re.match(r"hydra\b|scale\.", key) and key not in known_keys:
        raise UserError(f"unknown key {key}; {_suggest_key(key, known_keys + groups(configs))}")


def _suggest_key(key: str, known: list[str]) -> str:
    """Suggest our name of a usual key, the only key that ends like the unknown one, or a similar key."""
    same_ending = [name for name in known if name.endswith(f".{key}")]
    if key in USUAL_NAMES or len(same_ending) == 1:
        return f"did you mean {USUAL_NAMES.get(key) or same_ending[0]}?"
    return suggest(key, known)
