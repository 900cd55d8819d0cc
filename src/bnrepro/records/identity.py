"""A run's name: ``<variant>-s<seed>-<hash>``. The hash is over what the run does, not over when or where."""

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any

from bnrepro.config.schema import Config

PROTOCOL = 1  # to be raised when a change of the code alters the numbers of a run

PRODUCTS = (  # section, property that a run uses, keys whose product it is
    ("optimizer", "lr", ("base_lr", "lr_multiplier")),
    ("optimizer", "l2", ("base_l2", "l2_multiplier")),
    ("schedule", "every", ("base_every", "decay_multiplier")),
    ("training", "total_steps", ("steps", "steps_multiplier")),
)


def _differences(value: Any, default: Any) -> dict[str, Any]:
    """Return the fields of a configuration that differ from the frozen defaults, without identity-free ones."""
    differences = {}
    for field in fields(value):
        if not field.metadata.get("identity", True):
            continue
        mine, theirs = getattr(value, field.name), getattr(default, field.name)
        if is_dataclass(mine):
            if nested := _differences(mine, theirs):
                differences[field.name] = nested
        elif mine != theirs:
            differences[field.name] = mine
    return differences


def canonical(config: Config, data_fingerprint: str, protocol: int = PROTOCOL) -> str:
    """Return the canonical JSON that is hashed. It has products, such as lr, in place of the keys that give them."""
    default = Config()
    differences = _differences(config, default)
    for section, product, factors in PRODUCTS:
        changed = differences.setdefault(section, {})
        for factor in factors:
            changed.pop(factor, None)
        value, default_value = (getattr(getattr(c, section), product) for c in (config, default))
        if value != default_value or product == "lr":
            rounded = value if isinstance(value, int) else float(f"{value:.12g}")
            changed[factors[0] if product == "total_steps" else product] = rounded
    differences = {name: value for name, value in differences.items() if value != {}}
    differences |= {"protocol": protocol, "data_fingerprint": data_fingerprint}
    return json.dumps(differences, sort_keys=True, separators=(",", ":"))


def group_hash(config: Config, data_fingerprint: str, protocol: int = PROTOCOL) -> str:
    """Return eight hexadecimal digits that all seeds of one configuration share (the W&B group)."""
    return hashlib.sha256(canonical(config, data_fingerprint, protocol).encode()).hexdigest()[:8]


def run_name(config: Config, seed: int, data_fingerprint: str, protocol: int = PROTOCOL) -> str:
    """Return the name of the run's directory."""
    return f"{config.variant or 'run'}-s{seed}-{group_hash(config, data_fingerprint, protocol)}"
