"""The overrides of a command line, as they are typed."""

from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from bnrepro.config.folders import CONFIGS
from bnrepro.errors import UserError

FLAGS_THAT_SHOW_ONE_RUN = {"--cfg", "-c", "--info", "-i"}
FLAGS_THAT_ONLY_SHOW = {"--help", "-h", "--hydra-help", "--version"}
FLAGS_WITH_A_VALUE = {*FLAGS_THAT_SHOW_ONE_RUN, "--package", "-p", "--config-name", "-cn", "--config-path", "-cp"}
OTHER_FOLDERS = ("hydra", "claims")  # folders of configs/ that are not config groups of a run


def options(group: str) -> list[str]:
    """Return the choices of a config group as they are typed, such as ``figure1/bn``."""
    folder = CONFIGS / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def choices() -> str:
    """Return the config groups and their choices, for ``--help``."""
    groups = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name not in OTHER_FOLDERS)
    return "\n".join(f"{group}: {', '.join(options(group))}" for group in groups)


OmegaConf.register_new_resolver("config_groups", choices, replace=True)  # for configs/train.yaml


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


def check(arguments: list[str]) -> None:
    """Raise a `UserError` if a training command names no experiment, sweeps without ``-m``, or deletes a key.

    Hydra finds the other mistakes when it composes, and `bnrepro.cli.mistakes` says in one line what it found.
    """
    flags = {word.split("=")[0] for word in arguments if word.startswith("-")}
    chosen = {group: word for word in arguments for group in ("experiment", "sweep") if word.startswith(f"{group}=")}
    multirun = bool(flags & {"-m", "--multirun"})
    if multirun and (showing := flags & FLAGS_THAT_SHOW_ONE_RUN):
        raise UserError(f"{showing.pop()} shows what one run would be; leave -m out")
    if flags & (FLAGS_THAT_SHOW_ONE_RUN | FLAGS_THAT_ONLY_SHOW):
        return
    for word in arguments:
        if word.startswith("~") or (word.endswith("=null") and (CONFIGS / word.removesuffix("=null")).is_dir()):
            raise UserError(f"{word} would take away what a run needs; give it a value instead")
    if "sweep" in chosen and not multirun:
        raise UserError("sweep=NAME is many runs; add -m")
    if not chosen:
        raise UserError(f"which experiment? add experiment=NAME with one of: {', '.join(options('experiment'))}")
