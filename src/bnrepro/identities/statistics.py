"""What the normaliser does to the moments of activations, and what it cannot do."""

import torch
from scipy import stats
from torch import Tensor

from bnrepro.identities.common import NO_EPS, Numbers, difference, generator, randn, relative_difference
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.layers.group_norm import GroupNorm
from bnrepro.models.mlp import MLP

LARGE_EPS = 1e-3


def lost_scale() -> Numbers:
    """One example, or what is at one location, times 10: how far that moves its normalised values (Sec. 2).

    Largest change over the largest value: layer_norm_change by the statistics of the example, location_norm_change by
    those over the maps at each location, batch_norm_change and batch_norm_maps_change by those of the mini-batch, for
    activations and for maps. eps = 0.
    """
    rng = generator()
    features = 100
    by_example = GroupNorm(features, groups=1, eps=NO_EPS, affine=False).double()
    by_batch = BatchNorm(features, eps=NO_EPS, affine=False).double()

    def by_location(x: Tensor) -> Tensor:
        locations = x.movedim(1, -1)
        return by_example(locations.reshape(-1, features)).view(locations.shape).movedim(-1, 1)

    dense, maps = 1 + randn(rng, 60, features), 1 + randn(rng, 8, features, 4, 4)
    larger, larger_maps = dense.clone(), maps.clone()
    larger[0] *= 10
    larger_maps[0, :, 2, 2] *= 10
    return {
        "layer_norm_change": relative_difference(by_example(larger)[0], by_example(dense)[0]),
        "location_norm_change": relative_difference(
            by_location(larger_maps)[0, :, 2, 2], by_location(maps)[0, :, 2, 2]
        ),
        "batch_norm_change": relative_difference(by_batch(larger)[0], by_batch(dense)[0]),
        "batch_norm_maps_change": relative_difference(by_batch(larger_maps)[0, :, 2, 2], by_batch(maps)[0, :, 2, 2]),
    }


def restored_identity() -> Numbers:
    """BN(x) - x, largest, for x of standard deviation about 1 and mean 5; gamma and beta = E are chosen to undo it.

    gamma_sqrt_var_plus_eps: with gamma = sqrt(Var + eps), eps = 1e-3. gamma_sqrt_var_eps_*: with the paper's
    gamma = sqrt(Var) (Sec. 3), at eps = 0, 1e-5 and 1e-3. other_batch: with gamma = sqrt(Var + eps) and beta of another
    mini-batch of 60.
    """
    rng = generator()
    x, other = (5 + randn(rng, 60, 4) for _ in range(2))

    def error(source: Tensor, eps: float, added: float) -> float:
        norm = BatchNorm(4, eps=eps).double()
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
    """x_hat of activations with standard deviations from 1e-3 to 1e3, eps = 1e-3 (Sec. 3, Alg. 1).

    mean: the largest absolute mean of x_hat. mean_square_error: the largest difference of mean x_hat^2 and
    Var / (Var + eps). largest_mean_square, smallest_mean_square: over the activations; 1 if eps is neglected.
    """
    rng = generator()
    x = torch.logspace(-3, 3, 100, dtype=torch.float64) * (randn(rng, 60, 100) + 2)
    x_hat = BatchNorm(100, eps=LARGE_EPS, affine=False).double()(x)
    variance, squares = x.var(0, correction=0), x_hat.square().mean(0)
    return {
        "mean": x_hat.mean(0).abs().max().item(),
        "mean_square_error": difference(squares, variance / (variance + LARGE_EPS)),
        "largest_mean_square": squares.max().item(),
        "smallest_mean_square": squares.min().item(),
    }


def equal_moments() -> Numbers:
    """A normal and an exponential distribution of mean 3 and variance 4, 10,000 values each, through BN without eps.

    mean_difference, variance_difference: of the two after BN. ks_before, ks_after: the Kolmogorov-Smirnov distance of
    the two, before and after BN. ks_two_normal: of two samples of the normal one, after BN. skewness_difference: after.
    """
    rng = generator()
    count = 10_000
    normal, again = 3 + 2 * randn(rng, count), 3 + 2 * randn(rng, count)
    exponential = 1 + 2 * torch.empty(count, dtype=torch.float64).exponential_(generator=rng)
    norm = BatchNorm(1, eps=NO_EPS, affine=False).double()
    a, b, c = (norm(x[:, None])[:, 0] for x in (normal, exponential, again))
    return {
        "mean_difference": difference(a.mean(), b.mean()),
        "variance_difference": difference(a.var(correction=0), b.var(correction=0)),
        "ks_before": float(stats.ks_2samp(normal, exponential).statistic),
        "ks_after": float(stats.ks_2samp(a, b).statistic),
        "ks_two_normal": float(stats.ks_2samp(a, c).statistic),
        "skewness_difference": difference((a**3).mean(), (b**3).mean()),
    }


def nonlinearity_inputs(eps: float | None, seeds: int = 5, std: float = 0.01) -> tuple[list[Tensor], list[Tensor]]:
    """The three sigmoid layers of Sec. 4.1's network at their first weights, on 60 random binary images.

    Args:
        eps: of BN; None for a network without.
        seeds: how many networks, each with its own weights and images.
        std: of the weights.

    Returns:
        For each layer the standard deviation over the batch of Wu, and of the nonlinearity's input, (seeds, units).
    """
    model = MLP((784, 100, 100, 100, 10), lambda features: eps and BatchNorm(features, eps=eps), stack=seeds).double()
    images = torch.empty(seeds, 60, 784, dtype=torch.float64)
    for seed in range(seeds):
        rng = generator(seed)
        images[seed].bernoulli_(0.5, generator=rng)
        for layer in model.hidden:
            layer.linear.weight.data[seed] = std * randn(rng, *layer.linear.weight.shape[1:])
    before, after = [], []
    x = images.transpose(1, 2)
    for layer in model.hidden:
        before.append(layer.linear(x).detach().std(2, correction=0))
        inputs = layer[:-1](x).detach()
        after.append(inputs.std(2, correction=0))
        x = layer.nonlinearity(inputs)
    return before, after


def small_activations() -> Numbers:
    """`nonlinearity_inputs` (Sec. 4.1's network) without BN and with eps = 1e-5 and 1e-3, weights of 0.01.

    *_std_*: the mean over five seeds and the units of the standard deviation of the input to layer 1, 2, 3's sigmoid.
    *_last_over_first: that of layer 3 over that of layer 1. *_prediction_error: the largest difference of the standard
    deviation and sqrt(Var / (Var + eps)), Var of the layer's own Wu. *_least_gain: the smallest ratio over seeds of
    layer 3's with BN to that without.
    """
    numbers: Numbers = {}
    plain: Tensor | None = None
    for name, eps in (("plain", None), ("eps_1e_5", 1e-5), ("eps_1e_3", LARGE_EPS)):
        before, after = nonlinearity_inputs(eps)
        means = [layer.mean().item() for layer in after]
        numbers |= {f"{name}_std_{k}": mean for k, mean in enumerate(means, start=1)}
        numbers[f"{name}_last_over_first"] = means[-1] / means[0]
        if plain is None or eps is None:
            plain = after[-1].mean(1)
            continue
        predicted = [(s**2 / (s**2 + eps)).sqrt() for s in before]
        numbers[f"{name}_prediction_error"] = max(map(difference, after, predicted))
        numbers[f"{name}_least_gain"] = (after[-1].mean(1) / plain).min().item()
    return numbers
