"""Several networks' answers made one: Sec. 4.2.3's mean of probabilities, and what it is compared with."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from bnrepro.use.multicrop import Predictions

METHODS = ("mean", "logits", "vote")
ALL_SUBSETS_UP_TO = 12  # networks; of more, each alone and all together


def combine(members: list[Predictions], method: str) -> np.ndarray:
    """Scores (M, classes) of an ensemble; the highest is its answer.

    Args:
        members: each network's predictions on the same images.
        method: ``mean``, of probabilities (the paper's); ``logits``, their mean; ``vote``, the number of networks whose
            answer it is, ties by the mean probability.
    """
    mean = np.mean([member.probabilities for member in members], axis=0, dtype=np.float64)
    if method == "mean":
        return mean
    if method == "logits":
        return np.mean([member.logits for member in members], axis=0, dtype=np.float64)
    votes = np.zeros_like(mean)
    for member in members:
        votes[np.arange(len(votes)), member.probabilities.argmax(1)] += 1
    return votes + mean / 2  # a mean probability is at most 1: it never outweighs a vote


def subsets(count: int) -> Iterator[tuple[int, ...]]:
    """Every choice of k of the networks, smallest first."""
    for size in range(1, count + 1) if count <= ALL_SUBSETS_UP_TO else (1, count):
        yield from combinations(range(count), size)


def rank_of_label(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label's place among the classes by score, (M,) from 1; ties and NaN count against the network."""
    own = scores[np.arange(len(labels)), labels]
    return (~(scores < own[:, None])).sum(1)


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> dict[str, object]:
    """The expected calibration error and what a reliability diagram shows.

    Args:
        probabilities: (M, classes).
        labels: (M,).
        bins: of equal width over [0, 1] (Guo et al. 2017).

    Returns:
        ``ece``: the mean over images of \\|accuracy - confidence\\| of their bin, as a fraction; ``images``,
        ``confidence`` and ``accuracy`` of each bin (None where it is empty).
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    images = np.bincount(bin_of, minlength=bins)
    sums = [np.bincount(bin_of, weights, bins) for weights in (confidence, right)]
    means = [[float(s / n) if n else None for s, n in zip(sums_, images, strict=True)] for sums_ in sums]
    ece = float(np.abs(sums[0] - sums[1]).sum() / len(labels))
    return {"ece": ece, "images": images.tolist(), "confidence": means[0], "accuracy": means[1]}
