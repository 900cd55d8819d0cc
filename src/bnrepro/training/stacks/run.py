"""One run of a stack: its network's configuration, its schedule, its curve and its record."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from bnrepro.config.schema import Config
from bnrepro.data.resident import ResidentImages
from bnrepro.probes.layers import LayerProbe
from bnrepro.records.outcome import chance_bound
from bnrepro.training import build
from bnrepro.training.loop import Member
from bnrepro.training.recorder import Recorder, SeedRun
from bnrepro.training.schedule import milestones


@dataclass
class StackedRun:
    """Args:
    config: of the run.
    command: what was typed for it.
    seed_run: the run, locked.
    data: its data set.
    """

    config: Config
    command: str
    seed_run: SeedRun
    data: ResidentImages
    over: bool = False  # finished, or diverged
    final: dict[str, float] = field(default_factory=dict)
    recorder: Recorder | None = None

    def __post_init__(self) -> None:
        config = self.config
        self.member = Member(self.seed_run.seed)
        self.rate, self.steps = build.rate(config), config.training.total_steps
        evaluation, probe = config.evaluation, config.probe
        self.probe_steps = (
            [] if probe.name == "none" else milestones(self.steps, probe.every, probe.log_points_per_decade)
        )
        self.looks = {
            *milestones(self.steps, evaluation.every, evaluation.log_points_per_decade),
            *self.probe_steps,
        }
        self.prefix = "tune" if config.data.split == "tune" else "val"
        self.losses: list[torch.Tensor] = []  # since the last row
        self.network = build.network(config, [self.member.seed], torch.device("cpu"), self.data.classes)
        self.probe = LayerProbe(self.network, self.network, [], self.probe_steps) if self.probe_steps else None
        self.measured: list[tuple[int, Future]] = []  # what the probe measures at a step, as it comes in

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint holds of the run beside its network."""
        self.losses, self.member.diverged_at = [state["losses"]], state["diverged_at"]
        if self.probe:
            self.probe.restore([state["probe"][0]])

    def collect(self) -> None:
        """Wait for what the probe has been asked to measure, and keep it."""
        for step, future in self.measured:
            self.probe.taken.append(step)
            for view, values in future.result().items():
                self.probe.keep(view, torch.from_numpy(values)[None])
        self.measured = []

    def add_row(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """Add an evaluation after so many steps to the curve."""
        mean = torch.cat(self.losses).mean().item()
        self.losses = []
        row = {
            "step": step,
            "epoch": round(step / self.data.steps_per_epoch, 4),
            "seconds": round(seconds, 2),
            "lr": self.rate(step - 1),
            "train/loss": float(f"{mean:.6g}"),
        }
        self.member.rows.append(row | {f"{self.prefix}/{name}": float(f"{v:.6g}") for name, v in values.items()})

    def ends_at(self, step: int) -> bool:
        """Whether the run ends with the evaluation after so many steps: it is over, or the network stays at chance."""
        share = self.config.training.stop_at_chance
        if step == self.steps:
            return True
        if not share or step != min(look for look in self.looks if look >= share * self.steps):
            return False
        chance = chance_bound(self.data.classes, self.data.held_out)
        earlier = [row[f"{self.prefix}/top1"] for row in self.member.rows if row["step"] < step]
        return all(top1 < chance for top1 in earlier)
