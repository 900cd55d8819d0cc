"""The mini-batches of a stack of networks, cropped and distorted together on the device."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from bnrepro.data import augment
from bnrepro.data.resident import ResidentImages

Drawn = tuple[Tensor, ...]  # indices, boxes, flips, brightness, saturation of a chunk; (CHUNK, streams, batch, ...)


class Streams:
    """What each network sees at a step is what `ResidentImages.batch` gives of its data set and seed.

    Networks that see the same images share them. The numbers of `CHUNK` steps lie on the device, and `step` there says
    which of them comes next, so that a step can be a CUDA graph.

    Args:
        sources: the data set of each network; all on one device, with images and batches of one size.
        seeds: of each network.
        purpose: of the random numbers, see `ResidentImages`.
    """

    def __init__(self, sources: list[ResidentImages], seeds: list[int], purpose: str = "augment"):
        pairs = list(zip(map(id, sources), seeds, strict=True))
        unique = list(dict.fromkeys(pairs))
        by_id = {id(source): source for source in sources}
        self.streams = [(by_id[source], seed) for source, seed in unique]
        self.purpose, self.device, self.pixels = purpose, sources[0].device, sources[0].pixels
        self.stream_of = torch.tensor([unique.index(pair) for pair in pairs], device=self.device)
        images = {id(source.train_images): source for source, _ in self.streams}
        self.images = torch.cat([source.train_images for source in images.values()])
        self.labels = torch.cat([source.train_labels for source in images.values()])
        starts = np.cumsum([0, *(len(source.train_labels) for source in images.values())])
        self.first_image = dict(zip(images, starts[:-1].tolist(), strict=True))
        self.step = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.colour = [source.augmentation.colour > 0 for source, _ in self.streams]
        self._worker = ThreadPoolExecutor(1)
        self._ahead: dict[int, Future] = {}
        self._numbers: Drawn | None = None
        self.chunk: int | None = None  # that is loaded

    def load(self, chunk: int) -> None:
        """Make the numbers of a chunk the ones that `batch` uses, from its first step."""
        numbers = (self._ahead.pop(chunk, None) or self._worker.submit(self._drawn, chunk)).result()
        self._ahead = {chunk + 1: self._worker.submit(self._drawn, chunk + 1)}
        if self._numbers is None:
            self._numbers = tuple(values.to(self.device) for values in numbers)
        else:
            for held, values in zip(self._numbers, numbers, strict=True):
                held.copy_(values, non_blocking=True)
        self.step.zero_()
        self.chunk = chunk

    def _drawn(self, chunk: int) -> Drawn:
        parts = []
        for source, seed in self.streams:
            index, draws = source.drawn(seed, self.purpose, chunk)
            parts.append((index + self.first_image[id(source.train_images)], *vars(draws).values()))
        columns = [torch.from_numpy(np.stack(values, axis=1)) for values in zip(*parts, strict=True)]
        pinned = self.device.type == "cuda"
        return tuple(column.pin_memory() if pinned else column for column in columns)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images (S, 3, N, pixels, pixels) in [-1, 1] and labels (S, N) of the step that `step` says."""
        index, boxes, flips, brightness, saturation = (v.index_select(0, self.step)[0] for v in self._numbers)
        streams, size = index.shape
        pixels = self.images.index_select(0, index.flatten())
        images = augment.crop_and_resize(pixels, boxes.flatten(0, 1), self.pixels, flips.flatten()).div_(255)
        if any(self.colour):  # without distortions the numbers are 0 and 1, which change nothing
            images = augment.distort(images, brightness.flatten(), saturation.flatten())
        images = images.mul_(2).sub_(1).unflatten(0, (streams, size)).transpose(1, 2)
        labels = self.labels.index_select(0, index.flatten()).view(streams, size)
        return images.index_select(0, self.stream_of), labels.index_select(0, self.stream_of)

    def close(self) -> None:
        """End the thread that draws ahead."""
        self._worker.shutdown(wait=False, cancel_futures=True)
