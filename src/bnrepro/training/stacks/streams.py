"""The mini-batches of a stack of networks, cropped and distorted together on the device."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from bnrepro.data import augment
from bnrepro.data.resident import ResidentImages

Numbers = tuple[Tensor, ...]  # indices, boxes, flips, brightness, saturation, each (CHUNK, streams, batch, ...)


class Streams:
    """Each network gets the mini-batches that `ResidentImages.batch` gives for its data set and seed.

    Networks that see the same images share a stream. The random numbers of a chunk of steps lie on the device, and so
    does ``step``, the position in the chunk, so that a training step can be a CUDA graph.

    Args:
        sources: The data set of each network. All have images and batches of one size and lie on one device.
        seeds: The seed of each network.
        purpose: Of the random numbers (`ResidentImages.drawn`).
    """

    def __init__(self, sources: list[ResidentImages], seeds: list[int], purpose: str = "augment"):
        pairs = list(zip(map(id, sources), seeds, strict=True))
        unique = list(dict.fromkeys(pairs))
        by_id = {id(source): source for source in sources}
        self.streams = [(by_id[source], seed) for source, seed in unique]
        self.purpose, self.device, self.pixels = purpose, sources[0].device, sources[0].pixels
        self.stream_of = torch.tensor([unique.index(pair) for pair in pairs], device=self.device)
        by_images = {id(source.train_images): source for source, _ in self.streams}
        self.images = torch.cat([source.train_images for source in by_images.values()])
        self.labels = torch.cat([source.train_labels for source in by_images.values()])
        starts = np.cumsum([0, *(len(source.train_labels) for source in by_images.values())])
        self.first_image = dict(zip(by_images, starts[:-1].tolist(), strict=True))
        self.distorts = any(source.augmentation.colour > 0 for source, _ in self.streams)
        self.step = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.chunk: int | None = None  # the chunk whose numbers are loaded
        self._numbers: Numbers | None = None
        self._worker = ThreadPoolExecutor(1)
        self._ahead: dict[int, Future] = {}

    def load(self, chunk: int) -> None:
        """Load the numbers of a chunk, go to its first step, and begin to draw the next chunk."""
        numbers = (self._ahead.pop(chunk, None) or self._worker.submit(self._draw, chunk)).result()
        self._ahead = {chunk + 1: self._worker.submit(self._draw, chunk + 1)}
        if self._numbers is None:
            self._numbers = tuple(values.to(self.device) for values in numbers)
        else:
            for on_device, values in zip(self._numbers, numbers, strict=True):
                on_device.copy_(values, non_blocking=True)
        self.step.zero_()
        self.chunk = chunk

    def _draw(self, chunk: int) -> Numbers:
        parts = []
        for source, seed in self.streams:
            index, draws = source.drawn(seed, self.purpose, chunk)
            parts.append((index + self.first_image[id(source.train_images)], *draws))
        numbers = [torch.from_numpy(np.stack(values, axis=1)) for values in zip(*parts, strict=True)]
        return tuple(values.pin_memory() if self.device.type == "cuda" else values for values in numbers)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return the images (S, 3, N, pixels, pixels) in [-1, 1] and labels (S, N) of the present step."""
        index, boxes, flips, brightness, saturation = (v.index_select(0, self.step)[0] for v in self._numbers)
        pixels = self.images.index_select(0, index.flatten())
        images = augment.crop_and_resize(pixels, boxes.flatten(0, 1), self.pixels, flips.flatten()).div_(255)
        if self.distorts:  # For sources without distortions the numbers are 0 and 1, which change nothing.
            images = augment.distort(images, brightness.flatten(), saturation.flatten())
        images = images.mul_(2).sub_(1).unflatten(0, index.shape).transpose(1, 2)
        labels = self.labels.index_select(0, index.flatten()).view(index.shape)
        return images.index_select(0, self.stream_of), labels.index_select(0, self.stream_of)

    def close(self) -> None:
        """End the thread that draws ahead."""
        self._worker.shutdown(wait=False, cancel_futures=True)
