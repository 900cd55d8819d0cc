"""Tab completion of training commands: ``eval "$(python scripts/train.py -sc install=bash)"``.

Hydra's own completion searches only one folder for the choices of a group, so it offers no ``experiment=figure1/...``.
This one answers from the folders of configs/ and the schema.
"""

import os
from pathlib import Path

from bnrepro.config.overrides import HYDRA_GROUPS, groups, keys, options
from bnrepro.errors import UserError

FLAGS = ("-sc", "--shell-completion")
SCRIPT = """\
_bnrepro_train() {
    local words=($COMP_LINE)
    [[ ${words[1]} == *scripts/train.py ]] || return
    COMPREPLY=($(COMP_LINE=$COMP_LINE "${words[0]}" "${words[1]}" -sc query=bash 2> /dev/null))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _bnrepro_train python python3"""


def endings(word: str, configs: Path) -> list[str]:
    """Return the words that begin with ``word``. Of several values with commas, the last one is completed."""
    key, equals, value = word.partition("=")
    chosen = [*groups(configs), *HYDRA_GROUPS]
    if equals:
        before, comma, _ = value.rpartition(",")
        words = [f"{key}={before}{comma}{name}" for name in (options(configs, key) if key in chosen else [])]
    else:
        known = keys()
        sections = {name.rpartition(".")[0] for name in known}
        words = [f"{name}=" for name in [*chosen, *(name for name in known if name not in sections)]]
    return sorted({name for name in words if name.startswith(word)})


def answer(request: str, configs: Path) -> str:
    """Return what ``-sc REQUEST`` prints: a script for the shell, one that undoes it, or completions of COMP_LINE."""
    if request in ("install=bash", "install=zsh"):
        return SCRIPT
    if request in ("uninstall=bash", "uninstall=zsh"):
        return "complete -r python python3"
    if request != "query=bash":
        raise UserError(f"-sc {request} is not one of install=bash, uninstall=bash, query=bash")
    return "\n".join(endings(os.environ.get("COMP_LINE", "").split(" ")[-1], configs))
