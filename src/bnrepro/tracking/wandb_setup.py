"""W&B on this machine: whether there is an account, where W&B keeps its files, and what its errors become."""

import netrc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bnrepro.errors import UserError

NO_ACCOUNT = "no W&B account here; run: wandb login (or set WANDB_API_KEY)"


def resolve_mode(requested: str) -> str:
    """Replace ``auto`` by WANDB_MODE if that is set, else by online if there is an API key, else by offline."""
    if requested != "auto":
        return requested
    if mode := os.environ.get("WANDB_MODE"):
        return "offline" if mode == "dryrun" else mode
    return "online" if os.environ.get("WANDB_API_KEY") or _is_logged_in() else "offline"


def _is_logged_in() -> bool:
    """Return whether `wandb login` has left a key in the netrc file."""
    try:
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)


def keep_out_of_home(runs_dir: Path) -> Path:
    """Tell W&B, before it is imported, to keep its files in the runs directory. Return that directory, resolved.

    Call this while no other thread runs: in glibc before 2.41 a process can crash when one thread adds an environment
    variable while another reads one. W&B itself adds two variables from the mirror's thread, so they are added here.
    One of them, WANDB_SERVICE, must be unset when W&B starts. Adding and removing it reserves its place.
    """
    folder = runs_dir.resolve()
    for kind in ("DATA", "CACHE", "CONFIG", "ARTIFACT"):
        os.environ.setdefault(f"WANDB_{kind}_DIR", str(folder / "wandb" / ".wandb"))
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # as W&B does
    if "WANDB_SERVICE" not in os.environ:
        os.environ["WANDB_SERVICE"] = ""
        del os.environ["WANDB_SERVICE"]
    return folder


def api(runs_dir: Path) -> Any:
    """Return W&B's client for reading, with its files in the runs directory; a `UserError` without an account."""
    keep_out_of_home(runs_dir)
    import wandb
    from wandb.errors import UsageError

    try:
        return wandb.Api(timeout=30)
    except UsageError:
        raise UserError(NO_ACCOUNT) from None


@contextmanager
def errors_in_one_line(beginning: str) -> Iterator[None]:
    """Turn any error of W&B's client into a `UserError` of one line with this beginning."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client raises many kinds, of the network, of the account and of the project
        raise UserError(f"{beginning}: {type(error).__name__}: {error}".splitlines()[0]) from None
