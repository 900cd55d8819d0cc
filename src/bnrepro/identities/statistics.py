"""The moments of normalised activations, and what normalising cannot do."""

import torch
from scipy import stats
from torch import Tensor

from bnrepro.identities.common import (
    LARGE_EPS,
    NO_EPS,
    Numbers,
    batch_norm,
    difference,
    generator,
    randn,
    relative_error,
)
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.group_norm import GroupNorm
from bnrepro.models.mlp import MLP


def lost_scale() -> Numbers:
    """Measure how far one example's normalised values move if its values are multiplied by 10 (Sec. 2); eps = 0.

    Each number is the largest change divided by the largest value. The ``maps`` are multiplied at one location only.
    """
    rng = generator()
    features = 100
    by_example = GroupNorm(features, groups=1, eps=NO_EPS, affine=False).double()
    by_batch = batch_norm(features)

    def by_location(x: Tensor) -> Tensor:
        """Normalise maps (n, c, h, w) over the channels at each location."""
        locations = x.movedim(1, -1)
        return by_example(locations.reshape(-1, features)).view(locations.shape).movedim(-1, 1)

    dense, maps = 1 + randn(rng, 60, features), 1 + randn(rng, 8, features, 4, 4)
    larger, larger_maps = dense.clone(), maps.clone()
    example, location = (0,), (0, slice(None), 2, 2)
    larger[example] *= 10
    larger_maps[location] *= 10
    return {
        "layer_norm_change": relative_error(by_example(larger)[example], by_example(dense)[example]),
        "location_norm_change": relative_error(by_location(larger_maps)[location], by_location(maps)[location]),
        "batch_norm_change": relative_error(by_batch(larger)[example], by_batch(dense)[example]),
    }


def restored_identity() -> Numbers:
    """Measure the largest |BN(x) - x| with gamma and beta that undo BN; x has mean 5 and std about 1."""
    rng = generator()
    x, other = (5 + randn(rng, 60, 4) for _ in range(2))

    def error(source: Tensor, eps: float, added: float) -> float:
        """Return the error if gamma = sqrt(Var[source] + added) and beta = E[source]; the paper adds 0 (Sec. 3)."""
        norm = batch_norm(4, eps, affine=True)
        norm.weight.data = (source.var(0, correction=0) + added).sqrt()
        norm.bias.data = source.mean(0)
        return difference(norm(x), x)

    return {
        "gamma_sqrt_var_plus_eps": error(x, LARGE_EPS, LARGE_EPS),
        "gamma_sqrt_var_eps_0": error(x, NO_EPS, 0.0),
        "gamma_sqrt_var_eps_1e_5": error(x, 1e-5, 0.0),
        "gamma_sqrt_var_eps_1e_3": error(x, LARGE_EPS, 0.0),
        "other_batch": error(other, LARGE_EPS, LARGE_EPS),
    }


def moments() -> Numbers:
    """Measure mean and mean square of x_hat, for x of std 1e-3 to 1e3 and eps = 1e-3 (Alg. 1)."""
    rng = generator()
    x = torch.logspace(-3, 3, 100, dtype=torch.float64) * (randn(rng, 60, 100) + 2)
    x_hat = batch_norm(100, LARGE_EPS)(x)
    variance, squares = x.var(0, correction=0), x_hat.square().mean(0)
    return {
        "mean": x_hat.mean(0).abs().max().item(),
        "mean_square_error": difference(squares, variance / (variance + LARGE_EPS)),
        "smallest_mean_square": squares.min().item(),  # not 1: eps outweighs the smallest variances
    }


def equal_moments() -> Numbers:
    """Compare, before and after BN, a normal and an exponential distribution of equal mean and variance."""
    rng = generator()
    count = 10_000
    normal, again = 3 + 2 * randn(rng, count), 3 + 2 * randn(rng, count)
    exponential = 1 + 2 * torch.empty(count, dtype=torch.float64).exponential_(generator=rng)
    norm = batch_norm(1)
    a, b, c = (norm(x[:, None])[:, 0] for x in (normal, exponential, again))
    return {
        "mean_difference": difference(a.mean(), b.mean()),
        "variance_difference": difference(a.var(correction=0), b.var(correction=0)),
        "ks_before": float(stats.ks_2samp(normal, exponential).statistic),
        "ks_after": float(stats.ks_2samp(a, b).statistic),
        "ks_two_normal": float(stats.ks_2samp(a, c).statistic),
        "skewness_difference": difference((a**3).mean(), (b**3).mean()),
    }


def third_layer_std(eps: float | None, seeds: int = 5, std: float = 0.01) -> Tensor:
    """Return the standard deviation (seeds, units), over 60 random binary images, of inputs to the third sigmoids.

    The network is that of Sec. 4.1 at its first weights.

    Args:
        eps: BN's epsilon, or None for a network without BN.
        seeds: the number of networks, each with its own weights and images.
        std: the standard deviation of the weights.
    """
    model = MLP((784, 100, 100, 100, 10), lambda features: eps and BatchNorm(features, eps=eps), stack=seeds).double()
    images = torch.empty(seeds, 60, 784, dtype=torch.float64)
    for seed in range(seeds):
        rng = generator(seed)
        images[seed].bernoulli_(0.5, generator=rng)
        for layer in model.hidden:
            layer.linear.weight.data[seed] = std * randn(rng, *layer.linear.weight.shape[1:])
    x = images.transpose(1, 2)
    for layer in model.hidden:
        inputs = layer[:-1](x).detach()
        x = layer.nonlinearity(inputs)
    return inputs.std(2, correction=0)


def small_activations() -> Numbers:
    """Measure the inputs to the sigmoids of layer 3 with eps = 1e-5 and 1e-3, and without BN.

    ``*_std_3`` is their standard deviation, averaged over five seeds and the units; ``*_least_gain`` is the least over
    the seeds of its ratio to that without BN.
    """
    without_norm = third_layer_std(None)
    numbers: Numbers = {}
    for name, eps in (("eps_1e_5", 1e-5), ("eps_1e_3", LARGE_EPS)):
        with_norm = third_layer_std(eps)
        numbers[f"{name}_std_3"] = with_norm.mean().item()
        numbers[f"{name}_least_gain"] = (with_norm.mean(1) / without_norm.mean(1)).min().item()
    return numbers
