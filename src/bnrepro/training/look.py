"""One look at the networks while they train: an evaluation with the chosen statistics, and what the probes measure."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor

from bnrepro.config.schema import Evaluation
from bnrepro.probes.probe import Probe
from bnrepro.training.population import batch_norms, moving_average, population_statistics

Values = dict[str, list[float]]  # by measure, one value per network


class Evaluator:
    """Called with a step, it returns each network's values by column of metrics.csv.

    The last look of a run compares the ways to take statistics. Afterwards ``final`` holds each network's results by
    all of them, and ``statistics`` holds the buffers of Alg. 2 by name.

    Args:
        task: The networks and what they are evaluated on (`bnrepro.training.tasks`).
        probes: They measure inside the networks at the steps that they know.
        options: How statistics are taken.
        prefix: Of the columns: ``val``, or ``tune`` on a split of the training images. Those of the images that the
            network trains on are ``fit``.
        mean: Gives the mean of a buffer over replicas, each of which has its own mini-batches.
    """

    def __init__(
        self,
        task: Any,
        probes: list[Probe],
        options: Evaluation,
        prefix: str,
        mean: Callable[[Tensor], Tensor] = lambda buffer: buffer,
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
            results = self._results(values) if batch_norms(self.task.model) else {"": values}
            self.final = self._by_network({name + way: v for way in results for name, v in results[way].items()})
            if by_population:
                values = results[""]  # the curve ends in the result
        return self._by_network(values)

    def _results(self, values: Values) -> dict[str, Values]:
        """Return the results by the ways to take statistics. The first one, that of Alg. 2, is the run's result.

        If the curve uses Alg. 2 over fixed batches, the result is over a whole epoch. Else it is over fixed batches.
        """
        by_population = self.options.statistics == "population"
        with self._population(0 if by_population else self.options.population_batches):
            buffers = self.task.model.named_buffers()
            self.statistics = {name: buffer.detach().cpu().clone() for name, buffer in buffers}
            result = self._evaluate()
        if not by_population:
            return {"": result, "_moving_average": values}
        # Committed records of this mode end at d^t of 2e-9 or less. A correction for it would change their last digits.
        with self._moving_average(negligible=1e-8):
            return {"": result, "_fixed_batches": values, "_moving_average": self._evaluate()}

    @contextmanager
    def _population(self, batches: int) -> Iterator[None]:
        with population_statistics(self.task.model, self.task.population(batches), self.task.predict):
            for norm in batch_norms(self.task.model):
                norm.running_mean.copy_(self.mean(norm.running_mean))
                norm.running_var.copy_(self.mean(norm.running_var))
            yield

    def _moving_average(self, negligible: float = 0.0) -> AbstractContextManager[None]:
        return moving_average(self.task.model, self.mean, negligible)

    def _evaluate(self) -> Values:
        measured = {self.prefix: self.task.evaluate()}
        if self.options.training_images:
            measured["fit"] = self.task.evaluate(self.options.training_images)
        return {f"{part}/{name}": v.tolist() for part in measured for name, v in measured[part].items()}

    def _by_network(self, values: Values) -> list[dict[str, float]]:
        return [{name: per_network[k] for name, per_network in values.items()} for k in range(self.task.stack)]
