"""One look at a network while it trains: evaluation with the chosen statistics, and what the probe measures."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from bnrepro.config.schema import Evaluation
from bnrepro.training.population import batch_norms, moving_average, population_statistics

Values = dict[str, list[float]]  # by measure, one value per network


class Look:
    """Call it with a step; it gives each network's values by column.

    Args:
        task: the networks and what they are judged on (`bnrepro.training.tasks`).
        probe: measures inside at the steps that it knows, or None.
        options: how to take statistics.
        prefix: of the columns: ``val``, or ``tune`` on a split of the training images.
        last_step: gives the run's last step. There the ways to take statistics are compared: ``final`` then holds each
            network's results by all of them, and ``statistics`` the buffers of Alg. 2, by name.
        mean: the mean of a buffer over replicas.
    """

    def __init__(
        self,
        task: Any,
        probe: Callable[[int], None] | None,
        options: Evaluation,
        prefix: str,
        last_step: Callable[[], int],
        mean: Callable[[Tensor], Tensor],
    ):
        self.task, self.probe, self.options = task, probe, options
        self.prefix, self.last_step, self.mean = prefix, last_step, mean
        self.final: list[dict[str, float]] = []
        self.statistics: dict[str, Tensor] = {}

    def __call__(self, step: int) -> list[dict[str, float]]:
        population = self.options.statistics == "population"
        with self._population(self.options.population_batches) if population else self._moving_average():
            values = self._evaluated()
            if self.probe:
                self.probe(step)
        networks = range(self.task.stack)
        if step == self.last_step():
            by_suffix = {"": values}
            if batch_norms(self.task.model):
                by_suffix |= self._by_population(values) if population else self._by_both(values)
            self.final = [
                {f"{self.prefix}/{name}{suffix}": way[name][k] for suffix, way in by_suffix.items() for name in way}
                for k in networks
            ]
            if population:
                values = by_suffix[""]  # the curve ends in the result
        return [{f"{self.prefix}/{name}": float(f"{own[k]:.6g}") for name, own in values.items()} for k in networks]

    def _population(self, batches: int) -> AbstractContextManager[None]:
        return population_statistics(self.task.model, self.task.population(batches), self.task.predict)

    def _moving_average(self, negligible: float = 0.0) -> AbstractContextManager[None]:
        return moving_average(self.task.model, self.mean, negligible)

    def _by_population(self, fixed_batches: Values) -> dict[str, Values]:
        """By suffix: the result is that of Alg. 2 over a whole epoch; beside it fixed batches and moving averages."""
        with self._population(0):
            self._keep_statistics()
            exact = self._evaluated()
        # Committed records of this mode end at d^t of 2e-9 or less; correcting for it would change their last digits.
        with self._moving_average(negligible=1e-8):
            averaged = self._evaluated()
        return {"": exact, "_fixed_batches": fixed_batches, "_moving_average": averaged}

    def _by_both(self, averaged: Values) -> dict[str, Values]:
        """By suffix, of a run judged by moving averages: the result is that of Alg. 2 over the usual batches."""
        with self._population(self.options.population_batches):
            self._keep_statistics()
            return {"": self._evaluated(), "_moving_average": averaged}

    def _keep_statistics(self) -> None:
        self.statistics = {name: buffer.detach().cpu().clone() for name, buffer in self.task.model.named_buffers()}

    def _evaluated(self) -> Values:
        return {name: values.tolist() for name, values in self.task.evaluate().items()}
