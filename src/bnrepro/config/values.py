"""From a configuration that Hydra has composed to an object of a schema whose values are checked."""

import math
import operator
import re
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnrepro.config.schema import walk
from bnrepro.errors import UserError

Schema = TypeVar("Schema")
BOUNDS = {  # in a field's metadata: the bound in words, and what has to hold of a value and its bound
    "at_least": ("at least", operator.ge),
    "at_most": ("at most", operator.le),
    "above": ("above", operator.gt),
    "below": ("below", operator.lt),
}


def structured(schema: type[Schema], composed: DictConfig) -> Schema:
    """Return the composed configuration as a resolved object of the schema, with its values checked."""
    try:
        values: Schema = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), composed))
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"configuration: {getattr(error, 'full_key', '') or ''}: {reason}") from None
    _check_fields(values)
    return values


def check_device(name: str) -> None:
    """Raise a `UserError` if this is not a device that this repository trains on; this machine may not have it."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UserError(f"device={name} is not one of cpu, cuda, cuda:0, cuda:1, ...")


def check_name(key: str, name: str) -> None:
    """Raise a `UserError` if this cannot name a folder, as a run's variant, scale and figure do."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise UserError(f"configuration: {key}={name!r} is no name; take up to 100 letters, digits, _, - and .")


def _check_fields(config: Any) -> None:
    """Raise a `UserError` for the first value outside its choices or bounds, or one that is not a finite number."""
    for key, field, value in walk(config):
        choices = field.metadata.get("choices")
        for element in value if isinstance(value, list) else [value]:
            if isinstance(element, list):
                raise UserError(f"configuration: {key}={value} must be a plain list")
            if choices and element not in choices:
                raise UserError(f"configuration: {key}={element} is not one of {', '.join(map(str, choices))}")
            if isinstance(element, float) and not math.isfinite(element):
                raise UserError(f"configuration: {key}={value} must be a finite number")
            for bound, (words, holds) in BOUNDS.items():
                if element is not None and bound in field.metadata and not holds(element, field.metadata[bound]):
                    why = "; batch statistics need m > 1" if key == "training.batch_size" else ""
                    raise UserError(f"configuration: {key}={value} must be {words} {field.metadata[bound]}{why}")
