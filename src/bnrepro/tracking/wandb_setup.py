"""How W&B is used on this machine: whether there is an account, and where its files go."""

import netrc
import os
from pathlib import Path
from typing import Any

from bnrepro.errors import UserError

NO_ACCOUNT = "no W&B account here; run: wandb login (or set WANDB_API_KEY)"


def resolve_mode(requested: str) -> str:
    """``auto`` becomes WANDB_MODE if set, else online where there is an API key, else offline."""
    if requested != "auto":
        return requested
    if mode := os.environ.get("WANDB_MODE"):
        return {"dryrun": "offline"}.get(mode, mode)
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    try:
        machines = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return "offline"
    return "online" if any("wandb" in machine for machine in machines) else "offline"


def keep_out_of_home(runs_dir: Path) -> Path:
    """Tell W&B, before it is imported, to stage its files in the runs directory; that directory, resolved.

    Call it while no other thread runs: in glibc before 2.41 a variable that is added while a library reads another one
    can crash the process. The two that W&B itself adds from the mirror's thread are therefore added here, and the one
    that must not be there yet is taken out again, which leaves its room.
    """
    root = runs_dir.resolve()
    for kind in ("DATA", "CACHE", "CONFIG", "ARTIFACT"):
        os.environ.setdefault(f"WANDB_{kind}_DIR", str(root / "wandb" / ".wandb"))
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # as W&B does
    if "WANDB_SERVICE" not in os.environ:
        os.environ["WANDB_SERVICE"] = ""
        del os.environ["WANDB_SERVICE"]
    return root


def api(runs_dir: Path) -> Any:
    """W&B's client for reading, with its files in the runs directory.

    Raises:
        UserError: there is no account.
    """
    keep_out_of_home(runs_dir)
    import wandb
    from wandb.errors import UsageError

    try:
        return wandb.Api(timeout=30)
    except UsageError:
        raise UserError(NO_ACCOUNT) from None
