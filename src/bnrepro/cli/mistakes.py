"""How every script ends: with exit status 0, or with one line on standard error and another status."""

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from bnrepro.config.overrides import options
from bnrepro.config.schema import Config, walk
from bnrepro.errors import UserError, explain, suggest


def exit_status(work: Callable[[], object]) -> int:
    """Do the work of a script and return its exit status.

    The status is 0, or 2 after a mistake in the command or a file that cannot be read or written, or 130 after Ctrl-C.
    """
    try:
        work()
        sys.stdout.flush()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {_in_one_line(error)}", file=sys.stderr)
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        _discard_output()
    except OSError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        if not error.filename:
            _discard_output()
    except KeyboardInterrupt:
        print("interrupted; run the same command again", file=sys.stderr)
        return 130
    else:
        return 0
    return 2


def script(main: Callable[[list[str] | None], object]) -> Callable[..., int]:
    """Let the ``main`` of a script, which takes the words of its command, return its exit status."""

    @wraps(main)
    def run(words: list[str] | None = None) -> int:
        return exit_status(lambda: main(words))

    return run


def _discard_output() -> None:
    """Drop what standard output has not taken; Python would try once more at exit and complain."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_one_line(error: Exception) -> str:
    """Return what an error says, and for Hydra's most usual ones what was meant."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if choice := getattr(error, "missing_cfg_file", None):
        if choice.startswith("hydra/"):
            (group, _, name), known = choice.rpartition("/"), error.options
        else:
            group, _, name = choice.partition("/")
            known = options(group)
        return f"unknown {group}={name}; {suggest(name, known)}"
    match = re.match(r"Could not override '([\w.]+)'", lines[0])
    key = match[1] if match else getattr(error, "full_key", None)
    if not key:
        return " ".join(lines[:3])
    section, _, name = key.rpartition(".")
    known = [known_key for known_key, _, _ in walk(Config())]
    if section and key in known:
        return f"{key}: the chosen {section} has no {name}; leave it out, or choose another {section}=NAME"
    if key in known:
        return " ".join(lines[:3])
    similar = [known_key for known_key in known if re.search(rf"[._]{key}(_|$)", known_key)]  # base_lr for lr
    return f"unknown key {key}; {suggest(key, similar or known)}"
