"""One look at a network while it trains: evaluation with the statistics asked for, and what the probe sees."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from bnrepro.config.schema import Evaluation
from bnrepro.training.population import batch_norms, moving_average, population_statistics

Found = dict[str, list[float]]  # by measure, one value a network


class Look:
    """Call it with a step; it gives each network's values by column.

    Args:
        task: the networks and what they are judged on (`bnrepro.training.tasks`).
        probe: looks inside at the steps that it knows, or None.
        wanted: how to take statistics.
        prefix: of the columns: ``val``, or ``tune`` on a split of the training images.
        last: gives the run's last step, at which the ways to take statistics are compared; ``final`` then holds what
            they gave, and ``statistics`` the buffers of Alg. 2 by name, with which the network is to be used.
        share: the mean of a buffer over replicas.
    """

    def __init__(
        self,
        task: Any,
        probe: Callable[[int], None] | None,
        wanted: Evaluation,
        prefix: str,
        last: Callable[[], int],
        share: Callable[[Tensor], Tensor],
    ):
        self.task, self.probe, self.wanted = task, probe, wanted
        self.prefix, self.last, self.share = prefix, last, share
        self.final: list[dict[str, float]] = []
        self.statistics: dict[str, Tensor] = {}

    def __call__(self, step: int) -> list[dict[str, float]]:
        if self.wanted.statistics == "moving_average":
            statistics = moving_average(self.task.model, self.share)
        else:
            statistics = self._population(self.wanted.population_batches)
        with statistics:
            found = self._evaluated()
            if self.probe:
                self.probe(step)
        networks = range(self.task.stack)
        if step == self.last():
            ways = {"": found}
            if batch_norms(self.task.model):
                ways |= self._other_statistics(found)
            self.final = [
                {f"{self.prefix}/{name}{way}": values[name][k] for way, values in ways.items() for name in values}
                for k in networks
            ]
            if self.wanted.statistics == "population":
                found = ways[""]  # the curve ends in the result
        return [{f"{self.prefix}/{n}": float(f"{values[k]:.6g}") for n, values in found.items()} for k in networks]

    def _population(self, batches: int) -> AbstractContextManager[None]:
        return population_statistics(self.task.model, self.task.population(batches), self.task.predict)

    def _other_statistics(self, found: Found) -> dict[str, Found]:
        """By suffix: the final result is Alg. 2's, over as many batches as there are; beside it what else there is."""
        if self.wanted.statistics == "moving_average":
            with self._population(self.wanted.population_batches):
                self._keep_statistics()
                return {"": self._evaluated(), "_moving_average": found}
        with self._population(0):
            self._keep_statistics()
            exact = self._evaluated()
        # Committed records of this mode end at d^t of 2e-9 or less; correcting for it would change their last digits.
        with moving_average(self.task.model, self.share, negligible=1e-8):
            averaged = self._evaluated()
        return {"": exact, "_fixed_batches": found, "_moving_average": averaged}

    def _keep_statistics(self) -> None:
        self.statistics = {name: buffer.detach().cpu().clone() for name, buffer in self.task.model.named_buffers()}

    def _evaluated(self) -> Found:
        return {name: values.tolist() for name, values in self.task.evaluate().items()}
