"""The same work for many things on all cores, in order, with a progress bar."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from rich.progress import track

_work: Callable[[Any], Any] | None = None  # of a pool's process: sent once, not with each thing


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    torch.set_num_threads(1)


def _do(thing: Any) -> Any:
    return _work(thing)


def each(work: Callable[[Any], Any], things: Sequence[Any], title: str) -> Iterator[Any]:
    """``work`` of each thing; the first exception is raised, and nothing further is begun."""
    processes = max(1, min(os.cpu_count() or 1, len(things)))
    with ProcessPoolExecutor(processes, initializer=_begin, initargs=(work,)) as pool:
        try:
            futures = [pool.submit(_do, thing) for thing in things]
            for future in track(futures, title, transient=True):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
