"""Sec. 4.1: S multilayer perceptrons on binary MNIST, side by side."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.config.seeding import draws, seed_population, torch_seed
from bnrepro.data.mnist import MNIST
from bnrepro.models.mlp import MLP
from bnrepro.probes.percentiles import PercentileProbe
from bnrepro.training.accuracy import accuracy_of

CHUNK = 1000  # images per forward pass of an evaluation


class StackedMNIST:
    """The task (`bnrepro.training.tasks`) of Figure 1."""

    def __init__(self, model: MLP, data: MNIST, probe_batches: int):
        self.model = self.predict = model
        self.data, self.probe_batches = data, probe_batches
        self.stack, self.steps_per_epoch, self.batch = model.stack, data.steps_per_epoch, data.batch
        self.draws = draws(model)

    def prepare(self, seeds: list[int], step: int) -> None:
        """Seed what normalisers draw, a function of seed and step. Networks that draw are not stacked."""
        if self.draws:
            (seed,) = seeds
            torch.manual_seed(torch_seed(seed, "noise", step))

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of each network, (S,)."""
        return F.cross_entropy(self.model(images), labels, reduction="none").mean(1)

    @torch.no_grad()
    def evaluate(self, training_images: int = 0) -> dict[str, Tensor]:
        """Return the loss and accuracies on the held-out images or on so many training images, each (S,)."""
        chunks = zip(*(part.split(CHUNK) for part in self.data.evaluation_images(training_images)), strict=True)
        return accuracy_of(
            (self.model(images.float().expand(self.stack, -1, -1)), labels.expand(self.stack, -1))
            for images, labels in chunks
        )

    def population(self, batches: int) -> Iterator[Tensor]:
        """Yield fixed training mini-batches. What normalisers draw on them is fixed too."""
        if self.draws:
            seed_population()
        yield from self._fixed_batches(batches, "population")

    def _fixed_batches(self, count: int, purpose: str) -> Iterator[Tensor]:
        for images in self.data.fixed_batches(count, purpose):
            yield images.float().expand(self.stack, -1, -1)

    def probe(self, steps: list[int]) -> PercentileProbe:
        """Return the probe that measures every nonlinearity's input."""
        return PercentileProbe(self.model, self.model, list(self._fixed_batches(self.probe_batches, "probe")), steps)
