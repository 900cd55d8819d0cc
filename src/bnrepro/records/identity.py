"""A run's name: ``<variant>-s<seed>-<hash>``, where the hash is over what the run does, not when or where."""

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any

from bnrepro.config import Config

PROTOCOL = 1  # raise when a change of the code alters the numbers of a run


def _differences(value: Any, default: Any) -> dict[str, Any]:
    """The fields of a configuration that differ from the frozen defaults, identity-free ones left out."""
    found = {}
    for field in fields(value):
        if not field.metadata.get("identity", True):
            continue
        mine, theirs = getattr(value, field.name), getattr(default, field.name)
        if is_dataclass(mine):
            if nested := _differences(mine, theirs):
                found[field.name] = nested
        elif mine != theirs:
            found[field.name] = mine
    return found


def canonical(config: Config, data_fingerprint: str, protocol: int = PROTOCOL) -> str:
    """The canonical JSON that is hashed. The rate counts as the product that is used, however it is factored."""
    differences = _differences(config, Config())
    optimizer = differences.setdefault("optimizer", {})
    optimizer.pop("base_lr", None)
    optimizer.pop("lr_multiplier", None)
    optimizer["lr"] = float(f"{config.optimizer.lr:.12g}")
    differences |= {"protocol": protocol, "data_fingerprint": data_fingerprint}
    return json.dumps(differences, sort_keys=True, separators=(",", ":"))


def group_hash(config: Config, data_fingerprint: str, protocol: int = PROTOCOL) -> str:
    """Eight hexadecimal digits shared by all seeds of one configuration (the W&B group)."""
    return hashlib.sha256(canonical(config, data_fingerprint, protocol).encode()).hexdigest()[:8]


def run_name(config: Config, seed: int, data_fingerprint: str, protocol: int = PROTOCOL) -> str:
    """The run's directory name."""
    return f"{config.variant or 'run'}-s{seed}-{group_hash(config, data_fingerprint, protocol)}"
