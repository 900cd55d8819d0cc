"""A laboratory for one paper: Ioffe & Szegedy 2015, Batch Normalization (arXiv:1502.03167v3).

`load_run` and `load_results` read runs, their numbers and their networks from Python (see `bnrepro.use.runs`, which is
imported when one of them is first used).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnrepro.use.runs import Run, load_results, load_run

__all__ = ["Run", "load_results", "load_run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bnrepro.use import runs

    return getattr(runs, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
