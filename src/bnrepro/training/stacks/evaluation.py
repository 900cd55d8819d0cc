"""Loss and accuracies of all networks of a stack, with the statistics that they have or with those of Alg. 2."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bnrepro.data.resident import CHUNK
from bnrepro.training.accuracy import accuracy_of
from bnrepro.training.population import population_statistics
from bnrepro.training.stacks.run import StackedRun
from bnrepro.training.stacks.streams import Streams

Values = list[dict[str, float]]  # of each network


@torch.no_grad()
def evaluated(model: nn.Module, runs: list[StackedRun]) -> Values:
    """Loss and accuracies of each network on the held-out images of its data set; the stack is in evaluation mode."""
    measures = {name: values.tolist() for name, values in accuracy_of(_judged(model, runs)).items()}
    return [{name: values[k] for name, values in measures.items()} for k in range(len(runs))]


def _judged(model: nn.Module, runs: list[StackedRun]) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (S, classes, N) and labels (S, N); the data sets of a stack hold out equally many images."""
    by_split = {run.config.data.split: run.data for run in runs}
    which = [list(by_split).index(run.config.data.split) for run in runs]
    for batches in zip(*(source.evaluation_batches() for source in by_split.values()), strict=True):
        images = torch.stack([images.transpose(0, 1) for images, _ in batches])
        labels = torch.stack([labels for _, labels in batches])
        yield model(images[which]), labels[which]


def evaluated_by_population(model: nn.Module, runs: list[StackedRun]) -> tuple[Values, dict[str, Tensor]]:
    """The same with the statistics of Alg. 2, and these by the names of buffers."""
    batches = _population(runs, runs[0].config.evaluation.population_batches)
    with population_statistics(model, batches):
        return evaluated(model, runs), {name: buffer.cpu().clone() for name, buffer in model.named_buffers()}


def _population(runs: list[StackedRun], batches: int) -> Iterator[Tensor]:
    """So many training mini-batches for each network, the same for every seed."""
    streams = Streams([run.data for run in runs], [0] * len(runs), "population")
    for batch in range(batches):
        if batch % CHUNK == 0:
            streams.load(batch // CHUNK)
        yield streams.batch()[0]
        streams.step.add_(1)
    streams.close()
