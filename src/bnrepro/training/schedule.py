"""When a run is evaluated and probed, and when it ends."""

from typing import Any

from bnrepro.config.schema import Config
from bnrepro.records.outcome import chance_bound


def milestones(total: int, every: int, log_points_per_decade: int) -> list[int]:
    """Return, sorted, the multiples of ``every`` up to ``total``, log-spaced steps below ``every``, and ``total``."""
    early, k = set(), 0
    while (step := round(10 ** (k / log_points_per_decade))) < min(every, total):
        early.add(step)
        k += 1
    return sorted(early | set(range(every, total + 1, every)) | {total})


class Schedule:
    """When a run is evaluated (``evaluation_steps``), when it is also probed (``probe_steps``), and when it ends.

    ``held_out`` is the number of images that the run is evaluated on.
    """

    def __init__(self, config: Config, classes: int, held_out: int):
        evaluation, probe, training = config.evaluation, config.probe, config.training
        self.steps = training.total_steps
        self.probe_steps: list[int] = []
        if probe.name != "none" or probe.instruments:
            self.probe_steps = milestones(self.steps, probe.every, probe.log_points_per_decade)
        regular_steps = milestones(self.steps, evaluation.every, evaluation.log_points_per_decade)
        self.evaluation_steps = {*regular_steps, *self.probe_steps}
        self.prefix = "tune" if config.data.split == "tune" else "val"
        self.chance = chance_bound(classes, held_out)
        self.chance_step = None  # the look at which a run ends that has always been at chance
        if training.stop_at_chance:
            self.chance_step = min(
                look for look in self.evaluation_steps if look >= training.stop_at_chance * self.steps
            )

    def ends_at(self, step: int, rows: list[dict[str, Any]]) -> bool:
        """Return whether the look after ``step`` steps is the last one, given the rows of metrics.csv so far."""
        if step == self.steps:
            return True
        earlier = [row[f"{self.prefix}/top1"] for row in rows if row["step"] < step]
        return step == self.chance_step and all(top1 < self.chance for top1 in earlier)
