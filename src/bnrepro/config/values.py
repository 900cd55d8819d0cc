"""Values of a structured configuration: composed by Hydra, turned into the schema's types, held to its fields."""

import math
import operator
import re
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnrepro.errors import UserError

Schema = TypeVar("Schema")
BOUNDS = {  # of a field: in words, and what holds of a value and its bound
    "at_least": ("at least", operator.ge),
    "at_most": ("at most", operator.le),
    "above": ("above", operator.gt),
    "below": ("below", operator.lt),
}


def structured(schema: type[Schema], composed: DictConfig) -> Schema:
    """The composed configuration as an object of the schema, resolved, with values inside their choices and bounds."""
    try:
        values: Schema = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), composed))
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"configuration: {getattr(error, 'full_key', '') or ''}: {reason}") from None
    _hold_to_fields(values)
    return values


def check_device(name: str) -> None:
    """Refuse a name that is no device which this repository trains on, whether this machine has it or not."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UserError(f"device={name} is not one of cpu, cuda, cuda:0, cuda:1, ...")


def check_name(key: str, name: str) -> None:
    """Refuse what is no name of a folder: a run's variant and its scale name folders, and a figure one or several."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise UserError(f"configuration: {key}={name!r} is no name; take up to 100 letters, digits, _, - and .")


def _hold_to_fields(section: Any, prefix: str = "") -> None:
    for field in fields(section):
        key, value = prefix + field.name, getattr(section, field.name)
        if is_dataclass(value):
            _hold_to_fields(value, f"{key}.")
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
