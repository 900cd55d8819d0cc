"""How every script ends: with exit status 0, or with one line on standard error and another status."""

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

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


def _discard_output() -> None:
    """Drop what standard output has not taken; Python would try once more at exit and complain."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_one_line(error: Exception) -> str:
    """Return what an error says, without the lines in which Hydra lists where it searched."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if choices := getattr(error, "options", None):  # of a config group that has no file of the chosen name
        return f"{lines[0]}; {suggest(error.missing_cfg_file.rpartition('/')[2], choices)}"
    if unused := re.match(r"Could not override '(\w+)\.(\w+)'", lines[0]):
        section, name = unused.groups()
        return f"{section}.{name}: the chosen {section} has no {name}; leave it out, or choose another {section}=NAME"
    return " ".join(lines[:3])
