"""The same work for many jobs on all cores, in order, with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from rich.progress import track


def each(work: Callable[[Any], Any], jobs: Sequence[Any], title: str) -> Iterator[Any]:
    """``work`` of each job; the first exception is raised, and nothing further is begun."""
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from track(pool.map(work, jobs), title, len(jobs), transient=True)
