"""A run's name: ``<variant>-s<seed>-<hash>``, where the hash is over what the run does, not when or where."""

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any

from bnrepro.config.schema import Config

PROTOCOL = 1  # raise when a change of the code alters the numbers of a run

PRODUCTS = (  # section, what is used, what it is given as
    ("optimizer", "lr", ("base_lr", "lr_multiplier")),
    ("optimizer", "l2", ("base_l2", "l2_multiplier")),
    ("schedule", "every", ("base_every", "decay_multiplier")),
    ("training", "total_steps", ("steps", "steps_multiplier")),
)


def _differences(value: Any, default: Any) -> dict[str, Any]:
    """The fields of a configuration that differ from the frozen defaults, identity-free ones left out."""
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
    """The canonical JSON that is hashed. What is given in factors counts as the product that is used."""
    default = Config()
    differences = _differences(config, default)
    for section, product, factors in PRODUCTS:
        own = differences.setdefault(section, {})
        for factor in factors:
            own.pop(factor, None)
        value, usual = (getattr(getattr(c, section), product) for c in (config, default))
        if value != usual or product == "lr":
            rounded = value if isinstance(value, int) else float(f"{value:.12g}")
            own[factors[0] if product == "total_steps" else product] = rounded
    differences = {name: value for name, value in differences.items() if value != {}}
    differences |= {"protocol": protocol, "data_fingerprint": data_fingerprint}
    return json.dumps(differences, sort_keys=True, separators=(",", ":"))


def group_hash(config: Config, data_fingerprint: str, protocol: int = PROTOCOL) -> str:
    """Eight hexadecimal digits shared by all seeds of one configuration (the W&B group)."""
    return hashlib.sha256(canonical(config, data_fingerprint, protocol).encode()).hexdigest()[:8]


def run_name(config: Config, seed: int, data_fingerprint: str, protocol: int = PROTOCOL) -> str:
    """The run's directory name."""
    return f"{config.variant or 'run'}-s{seed}-{group_hash(config, data_fingerprint, protocol)}"
