"""The answers of several networks combined: the mean of their probabilities (Sec. 4.2.3), and two alternatives."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from bnrepro.use.multicrop import Predictions

METHODS = ("mean", "logits", "vote")
ALL_SUBSETS_UP_TO = 12  # networks


def combine(members: list[Predictions], method: str) -> np.ndarray:
    """Return the scores (M, classes) of an ensemble; the class with the highest score is its answer.

    Args:
        members: the predictions of each network about the same images.
        method: ``mean`` of the probabilities (the paper's), the mean of the ``logits``, or ``vote``, the number of
            networks with that answer, where the mean probability decides ties.
    """
    mean = np.mean([member.probabilities for member in members], axis=0, dtype=np.float64)
    if method == "mean":
        return mean
    if method == "logits":
        return np.mean([member.logits for member in members], axis=0, dtype=np.float64)
    votes = np.zeros_like(mean)
    for member in members:
        votes[np.arange(len(votes)), member.probabilities.argmax(1)] += 1
    return votes + mean / 2  # a mean probability is at most 1, so that its half never outweighs a vote


def subsets(count: int) -> Iterator[tuple[int, ...]]:
    """Yield choices of the networks 0 to count - 1, smallest first.

    They are all choices of up to 12 networks (`ALL_SUBSETS_UP_TO`), and of more networks each alone and all together.
    """
    for size in range(1, count + 1) if count <= ALL_SUBSETS_UP_TO else (1, count):
        yield from combinations(range(count), size)


def rank_of_label(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the rank (M,), from 1, of each image's label by score; ties and NaN count against the network."""
    label_scores = scores[np.arange(len(labels)), labels]
    return (~(scores < label_scores[:, None])).sum(1)


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> dict[str, object]:
    """Return the expected calibration error, and the values of a reliability diagram (Guo et al. 2017).

    Args:
        probabilities: (M, classes).
        labels: (M,).
        bins: the number of bins of equal width over [0, 1].

    Returns:
        ``ece``: the mean over images of \\|accuracy - confidence\\| of their bin, as a fraction; ``images``,
        ``confidence`` and ``accuracy`` of each bin, None where it is empty.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    images = np.bincount(bin_of, minlength=bins)
    sums = [np.bincount(bin_of, weights, bins) for weights in (confidence, right)]
    means = [[float(s / n) if n else None for s, n in zip(sums_, images, strict=True)] for sums_ in sums]
    ece = float(np.abs(sums[0] - sums[1]).sum() / len(labels))
    return {"ece": ece, "images": images.tolist(), "confidence": means[0], "accuracy": means[1]}
