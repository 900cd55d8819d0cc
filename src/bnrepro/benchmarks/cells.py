"""Timing many settings on one device within a budget: device events on a GPU, the clock on a CPU."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from bnrepro.benchmarks.common import seconds
from bnrepro.benchmarks.steps import NeedsGPU, Step
from bnrepro.models.cost import Cost

EXPECTED = {"compiled": 60.0, "side by side": 30.0, "compiled side by side": 90.0}  # seconds; other kinds: 2


def synchronize(on: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if on.type == "cuda":
        torch.cuda.synchronize(on)


def timed(step: Step, count: int, on: torch.device) -> float:
    """Seconds that ``count`` steps take on the device, the gaps between its kernels included."""

    def work() -> None:
        for _ in range(count):
            step()

    if on.type != "cuda":
        return seconds(work)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


@dataclass(frozen=True)
class Effort:
    """``warm`` steps that do not count, then ``rounds`` of about ``seconds`` each."""

    warm: int = 5
    rounds: int = 5
    seconds: float = 0.05

    def rates(self, step: Step, on: torch.device) -> list[float]:
        """Steps a second, one value a round."""
        timed(step, max(1, self.warm), on)
        count = math.ceil(self.seconds / timed(step, 2, on) * 2)
        return [count / timed(step, count, on) for _ in range(self.rounds)]


@dataclass(frozen=True)
class Ceilings:
    """What the device can do: flop/s of a large bfloat16 product, bytes/s (read and written) of a large copy."""

    flops: float
    bytes: float

    def share(self, cost: Cost, batch: int, precision: str, rate: float) -> float:
        """The least time that a step could take (`Cost`), over what it takes at ``rate`` steps a second."""
        width = 2 if precision == "bfloat16" else 4
        return rate * max(cost.step_flops(batch) / self.flops, cost.step_bytes(batch, width) / self.bytes)


def ceilings(on: torch.device, size: int, copied: int, effort: Effort) -> Ceilings:
    """Of (size, size) matrices of random numbers, and of a copy of so many bytes."""
    a, b = (torch.randn(size, size, device=on, dtype=torch.bfloat16) for _ in range(2))
    source = torch.randn(copied // 4, device=on)
    target = torch.empty_like(source)
    products = effort.rates(lambda: torch.mm(a, b), on)
    copies = effort.rates(lambda: target.copy_(source), on)
    return Ceilings(2 * size**3 * statistics.median(products), 2 * copied * statistics.median(copies))


@dataclass
class Cells:
    """What has been measured, by name, and what has not, by reason.

    Args:
        on: the device.
        effort: see `Effort`.
        until: when to begin nothing more, by `time.monotonic`.
    """

    on: torch.device
    effort: Effort
    until: float
    rates: dict[str, list[float]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)  # seconds of building and of the first step: of compiling
    missing: dict[str, list[str]] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)  # seconds of a cell, by kind

    def leave(self, name: str, reason: str) -> None:
        """Say why a cell is not measured."""
        self.missing.setdefault(reason, []).append(name)

    def measure(self, kind: str, name: str, work: Callable[[], Any]) -> Any:
        """What ``work`` gives; None if the longest of its kind so far would not fit any more, or if it fails."""
        if time.monotonic() + self.longest.get(kind, EXPECTED.get(kind, 2.0)) > self.until:
            self.leave(name, "no time left")
            return None
        began = time.monotonic()
        try:
            return work()
        except NeedsGPU as error:
            self.leave(name, str(error))
            return None
        except Exception as error:  # a setting that this card or this PyTorch cannot do is a finding, too
            self.leave(name, f"{type(error).__name__}: {error}".splitlines()[0][:200])
            print(f"{name}: failed", flush=True)
            return None
        finally:
            took = time.monotonic() - began
            self.longest[kind] = max(took, self.longest.get(kind, 0.0))

    def time(self, kind: str, name: str, build: Callable[[], Step], batch: int, unit: str = "images/s") -> None:
        """Build a step and measure its rate; ``batch`` is what a step counts for in what is printed."""

        def work() -> list[float]:
            began = time.monotonic()
            step = build()
            step()
            synchronize(self.on)
            self.first[name] = round(time.monotonic() - began, 3)
            return self.effort.rates(step, self.on)

        if found := self.measure(kind, name, work):
            self.rates[name] = found
            print(f"{name}: {batch * statistics.median(found):,.0f} {unit}", flush=True)

    def rate(self, name: str) -> float | None:
        """The median of a cell, in steps a second, or None if it was not measured."""
        return statistics.median(self.rates[name]) if name in self.rates else None
