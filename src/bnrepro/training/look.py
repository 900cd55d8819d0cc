"""One look at the networks while they train: an evaluation with the chosen statistics, and what the probes measure."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from bnrepro.config.schema import Evaluation
from bnrepro.probes.probe import Probe
from bnrepro.training.population import batch_norms, moving_average, population_statistics

Values = dict[str, list[float]]  # by measure, one value per network


class Look:
    """Called with a step, it returns each network's values by column of metrics.csv.

    The last look of a run compares the ways to take statistics. Afterwards ``final`` holds each network's results by
    all of them, and ``statistics`` holds the buffers of Alg. 2 by name.

    Args:
        task: The networks and what they are evaluated on (`bnrepro.training.tasks`).
        probes: They measure inside the networks at the steps that they know.
        options: How statistics are taken.
        prefix: Of the columns: ``val``, or ``tune`` on a split of the training images.
        mean: Gives the mean of a buffer over replicas.
    """

    def __init__(
        self,
        task: Any,
        probes: list[Probe],
        options: Evaluation,
        prefix: str,
        mean: Callable[[Tensor], Tensor] = lambda own: own,
    ):
        self.task, self.probes, self.options, self.prefix, self.mean = task, probes, options, prefix, mean
        self.final: list[dict[str, float]] = []
        self.statistics: dict[str, Tensor] = {}

    def __call__(self, step: int, last: bool = False) -> list[dict[str, float]]:
        by_population = self.options.statistics == "population"
        with self._population(self.options.population_batches) if by_population else self._moving_average():
            values = self._evaluate()
            for probe in self.probes:
                probe(step)
        if last:
            results = {"": values}
            if batch_norms(self.task.model):
                results = self._compare_with_moving_average(values) if by_population else self._add_population(values)
            self.final = self._by_network(
                {name + suffix: v for suffix in results for name, v in results[suffix].items()}
            )
            if by_population:
                values = results[""]  # the curve ends in the result
        return self._by_network(values)

    def _compare_with_moving_average(self, fixed_batches: Values) -> dict[str, Values]:
        """The result is that of Alg. 2 over a whole epoch. Beside it stand fixed batches and moving averages."""
        with self._population(0):
            self._keep_statistics()
            whole_epoch = self._evaluate()
        # Committed records of this mode end at d^t of 2e-9 or less. A correction for it would change their last digits.
        with self._moving_average(negligible=1e-8):
            averaged = self._evaluate()
        return {"": whole_epoch, "_fixed_batches": fixed_batches, "_moving_average": averaged}

    def _add_population(self, averaged: Values) -> dict[str, Values]:
        """The result of a run whose curve uses moving averages is that of Alg. 2 over the usual batches."""
        with self._population(self.options.population_batches):
            self._keep_statistics()
            return {"": self._evaluate(), "_moving_average": averaged}

    def _population(self, batches: int) -> AbstractContextManager[None]:
        return population_statistics(self.task.model, self.task.population(batches), self.task.predict)

    def _moving_average(self, negligible: float = 0.0) -> AbstractContextManager[None]:
        return moving_average(self.task.model, self.mean, negligible)

    def _keep_statistics(self) -> None:
        self.statistics = {name: buffer.detach().cpu().clone() for name, buffer in self.task.model.named_buffers()}

    def _evaluate(self) -> Values:
        return {name: values.tolist() for name, values in self.task.evaluate().items()}

    def _by_network(self, values: Values) -> list[dict[str, float]]:
        return [{f"{self.prefix}/{name}": own[k] for name, own in values.items()} for k in range(self.task.stack)]
