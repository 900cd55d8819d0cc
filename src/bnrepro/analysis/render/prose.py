"""The longer texts of tables: ``analysis/prose/<name>.md`` has a Jinja template under each heading."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from bnrepro.analysis.render.table import Table, paragraph

_environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_environment.filters["paragraph"] = paragraph


@cache
def _texts(name: str) -> dict[str, str]:
    text = resources.files("bnrepro.analysis").joinpath("prose", f"{name}.md").read_text("utf-8")
    _, *parts = re.split(r"^# (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


def prose(name: str, heading: str, **values: Any) -> str:
    """Return the text under a heading, with the values filled in; empty if the file has no such heading."""
    return _environment.from_string(_texts(name).get(heading, "")).render(values)


def tabulate(name: str, title: str, rows: Sequence[Mapping[str, str]], **values: Any) -> Table:
    """Make a table of `Table.of` rows, whose text is the one under its title."""
    return Table.of(rows, title, prose=prose(name, title, **values))
