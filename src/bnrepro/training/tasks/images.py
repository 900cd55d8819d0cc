"""Sec. 4.2: one convolutional network on images."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.config.seeding import draws, seed_population, torch_seed
from bnrepro.data.resident import ResidentImages
from bnrepro.data.stream import StreamedImages
from bnrepro.models.trunk import Trunk
from bnrepro.probes.percentiles import PercentileProbe
from bnrepro.training.accuracy import accuracy_of, loss_with_heads


class ImageClassification:
    """The task (`bnrepro.training.tasks`) with S = 1.

    Args:
        model: From images (N, 3, H, W) to logits (N, classes), and in training mode also a list of auxiliary logits.
        forward: What the training step calls: the model, or the model compiled or distributed over replicas.
        data: Gives the batches.
        aux_weight: The weight of the auxiliary heads' losses.
        precision: With ``bfloat16`` only convolutions and products use it; normalisers and the loss use float32.
        probe_batches: The number of mini-batches that the probe measures with.
        rank: The rank of this replica. Each replica drops out other units.
    """

    stack = 1

    def __init__(
        self,
        model: Trunk,
        forward: nn.Module,
        data: ResidentImages | StreamedImages,
        *,
        aux_weight: float,
        precision: str,
        probe_batches: int,
        rank: int = 0,
    ):
        self.model, self.forward, self.data = model, forward, data
        self.aux_weight, self.probe_batches, self.rank = aux_weight, probe_batches, rank
        self.mixed = precision == "bfloat16"
        self.steps_per_epoch, self.draws = data.steps_per_epoch, draws(model)

    def _autocast(self) -> torch.autocast:
        kind = next(self.model.parameters()).device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self.mixed)

    def batch(self, seeds: list[int], step: int) -> tuple[Tensor, Tensor]:
        """Return the images and labels of a step."""
        (seed,) = seeds
        return self.data.batch(seed, step)

    def prepare(self, seeds: list[int], step: int) -> None:
        """Seed dropout's masks and normalisers' noise, which are functions of seed and step."""
        (seed,) = seeds
        torch.manual_seed(torch_seed(seed, "dropout", step, *([self.rank] if self.rank else [])))

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy plus the weighted ones of the auxiliary heads, (1,)."""
        with self._autocast():
            output = self.forward(images)
        return loss_with_heads(
            output, self.aux_weight, lambda logits: F.cross_entropy(logits.to(images.dtype), labels)
        )[None]

    def predict(self, images: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Return the network's output in its present mode and in the precision of training."""
        with self._autocast():
            return self.model(images)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Tensor]:
        """Return the loss and accuracies on the held-out images, single centre crop, each (1,)."""
        return accuracy_of(
            (self.predict(images).to(images.dtype).mT[None], labels[None])
            for images, labels in self.data.evaluation_batches()
        )

    def population(self, batches: int) -> Iterator[Tensor]:
        """Yield fixed training mini-batches, augmented as in training. What normalisers draw on them is fixed too.

        They are this replica's parts of so many steps, or with 0 of the steps of a whole epoch. Together the replicas
        see all images of these steps.
        """
        if self.draws:
            seed_population()
        yield from self.data.fixed_batches(batches or self.steps_per_epoch, "population")

    def probe(self, steps: list[int]) -> PercentileProbe:
        """Return the probe that measures every nonlinearity's input, pooled over a layer and in four fixed channels."""
        batches = list(self.data.fixed_batches(self.probe_batches, "probe"))
        return PercentileProbe(self.model, self.predict, batches, steps)
