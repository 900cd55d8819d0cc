"""Loss and accuracies of all networks of a stack, with the statistics that they have or with those of Alg. 2."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bnrepro.data.resident import CHUNK
from bnrepro.training.accuracy import accuracy_of
from bnrepro.training.population import population_statistics
from bnrepro.training.stacks.run import StackedRun, State
from bnrepro.training.stacks.streams import Streams

Values = list[dict[str, float]]  # one element per network


@torch.no_grad()
def evaluate(model: nn.Module, runs: list[StackedRun]) -> Values:
    """Evaluate each network, in evaluation mode, on the held-out images of its data set."""
    measures = {name: values.tolist() for name, values in accuracy_of(_logits_and_labels(model, runs)).items()}
    return [{name: values[k] for name, values in measures.items()} for k in range(len(runs))]


def _logits_and_labels(model: nn.Module, runs: list[StackedRun]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits (S, classes, N) and labels (S, N). All data sets of a stack hold out equally many images."""
    by_split = {run.config.data.split: run.data for run in runs}
    split_of = [list(by_split).index(run.config.data.split) for run in runs]
    for batches in zip(*(data.evaluation_batches() for data in by_split.values()), strict=True):
        images = torch.stack([images.transpose(0, 1) for images, _ in batches])
        labels = torch.stack([labels for _, labels in batches])
        yield model(images[split_of]), labels[split_of]


def evaluate_by_population(model: nn.Module, runs: list[StackedRun]) -> tuple[Values, State]:
    """Evaluate with the statistics of Alg. 2. Return also these statistics, by the names of buffers."""
    batches = _population(runs, runs[0].config.evaluation.population_batches)
    with population_statistics(model, batches):
        return evaluate(model, runs), {name: buffer.cpu().clone() for name, buffer in model.named_buffers()}


def _population(runs: list[StackedRun], batches: int) -> Iterator[Tensor]:
    """Training mini-batches for each network, the same for every seed; 0 gives a whole epoch of them."""
    streams = Streams([run.data for run in runs], [0] * len(runs), "population")
    for batch in range(batches or runs[0].data.steps_per_epoch):
        if batch % CHUNK == 0:
            streams.load(batch // CHUNK)
        yield streams.batch()[0]
        streams.step.add_(1)
    streams.close()
