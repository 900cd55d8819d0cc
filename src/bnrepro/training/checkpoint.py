"""Checkpoints: atomic, checked, and read without executing anything (``weights_only=True``)."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bnrepro.errors import UserError
from bnrepro.records.files import write_atomically


def digest(value: Any, sha: Any = None) -> str:
    """Return the SHA-256 over every tensor's bytes and every plain value, in order."""
    sha = sha or hashlib.sha256()
    if isinstance(value, Tensor):
        sha.update(value.detach().cpu().numpy().tobytes())
    elif isinstance(value, dict):
        for key in value:
            sha.update(str(key).encode())
            digest(value[key], sha)
    elif isinstance(value, list | tuple):
        for item in value:
            digest(item, sha)
    else:
        sha.update(repr(value).encode())
    return sha.hexdigest()


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to ``path``. A crash leaves the old checkpoint or the new one, whole."""
    buffer = io.BytesIO()  # torch's own writer turns a full disk into an internal error
    torch.save(state | {"digest": digest(state)}, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def load(path: Path, run: str) -> dict[str, Any] | None:
    """Return the checkpoint of the named run, or None if there is none yet.

    A checkpoint that is corrupt or belongs to another run is refused with a `UserError`, and stays where it is.
    """
    if not path.exists():
        return None
    remedy = f"move {path} away to train this run from the start"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        expected = state.pop("digest")
    except Exception as error:
        reason = f"it cannot be read as a checkpoint, {type(error).__name__}"
        raise UserError(f"{path} is corrupt ({reason}); {remedy}") from None
    if expected != digest(state):
        raise UserError(f"{path} is corrupt (its contents do not match its checksum); {remedy}")
    if state["run"] != run:
        raise UserError(f"{path} is a checkpoint of {state['run']}, not of {run}; {remedy}")
    return state
