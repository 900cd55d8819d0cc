"""Instruments of weights and activations: norms, spread, saturation, linearity, shape, and noise of the batch."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.models.mlp import MLP
from bnrepro.probes.scene import Activations, Quantities, Scene, by_feature, per_site, recorded_activations, slope_at

SATURATED = 0.05  # the derivative of a saturated nonlinearity is below this; a sigmoid's is at most 0.25
NEAR_ZERO = 0.01  # in standard deviations of a unit
ROUNDS = 20  # how often `batch_noise` shows an image among others


def weights(scene: Scene) -> Quantities:
    """Return the norm of W."""
    return {"norm": per_site(torch.linalg.vector_norm(site.weight) for site in scene.sites)}


def moments(scene: Scene) -> Quantities:
    """Return the standard deviation of W u and of x over the values of each unit, as a root mean square over units."""
    activations = scene.activations()
    return {
        name: per_site(_by_unit(activations[site.name], name).var(1).mean().sqrt() for site in scene.sites)
        for name in ("affine", "x")
    }


def _by_unit(activations: list[Activations], name: str) -> Tensor:
    """Return a site's ``u``, ``affine`` or ``x`` over all batches, (units, values)."""
    return torch.cat([by_feature(getattr(of_batch, name)) for of_batch in activations], 1)


def _flat_x(activations: list[Activations]) -> Tensor:
    """Return all of a site's x, flat."""
    return torch.cat([of_batch.x.flatten() for of_batch in activations])


def unsteadiness(scene: Scene) -> Quantities:
    """Return how much the mean of x over a mini-batch differs between mini-batches, which all meet the same weights.

    It is the standard deviation of a unit's mean over mini-batches, divided by the standard deviation of its x, both as
    root mean squares over units. The passes are those of training, and noise that a normaliser draws differs in each.
    """
    by_batch: dict[str, list[Tensor]] = {site.name: [] for site in scene.sites}
    with torch.no_grad(), recorded_activations(scene.sites) as latest:
        for images, _ in scene.batches:
            scene.predict(images)
            for name, activations in latest.items():
                by_batch[name].append(by_feature(activations.x))
    shares = []
    for of_batches in by_batch.values():
        means = torch.stack([x.mean(1) for x in of_batches])  # (batches, units)
        shares.append((means.var(0).mean() / torch.cat(of_batches, 1).var(1).mean()).sqrt())
    return {"mean": per_site(shares)}


def saturation(scene: Scene) -> Quantities:
    """Return the mean derivative of the nonlinearity at x, and the share of x where it is below `SATURATED`."""
    activations = scene.activations()
    slopes = [slope_at(site, _flat_x(activations[site.name])) for site in scene.sites]
    return {
        "slope": per_site(slope.mean() for slope in slopes),
        "share": per_site((slope < SATURATED).float().mean() for slope in slopes),
    }


def linearity(scene: Scene) -> Quantities:
    """Return the share of x with |x| < 2, and R^2 of the best straight line through g(x)."""
    activations, inside, fit = scene.activations(), [], []
    for site in scene.sites:
        x = _flat_x(activations[site.name]).double()
        y = site.nonlinearity(x.view(1, 1, -1)).flatten()
        inside.append((x.abs() < 2).double().mean())
        fit.append(torch.corrcoef(torch.stack([x, y]))[0, 1] ** 2)
    return {"inside_2": per_site(inside), "r2": per_site(fit)}


def gaussianity(scene: Scene) -> Quantities:
    """Return how far W u and the layer's input u are from Gaussian, as means over the units that vary.

    There are four measures: |skewness|, |excess kurtosis|, negentropy by Hyvarinen's approximation (1998, with log
    cosh), and the share of values within `NEAR_ZERO` standard deviations of zero, which is 0.8 % for a Gaussian.
    """
    activations, quantities = scene.activations(), {}
    for name in ("affine", "u"):
        measures = np.array([_shape(_by_unit(activations[site.name], name).double()) for site in scene.sites])
        for k, measure in enumerate(("skewness", "kurtosis", "negentropy", "near_zero")):
            quantities[f"{name}_{measure}"] = measures[:, k]
    return quantities


LOG_COSH_OF_A_GAUSSIAN = 0.374567207491438  # E[log cosh Z], Z standard normal


def _shape(values: Tensor) -> list[float]:
    """Return the four measures of (C, n) values, means over units."""
    deviation = values.std(1, unbiased=False)
    values, deviation = values[deviation > 0], deviation[deviation > 0, None]
    z = (values - values.mean(1, keepdim=True)) / deviation
    log_cosh = z.abs() + torch.nn.functional.softplus(-2 * z.abs()) - math.log(2)
    measures = [
        z.pow(3).mean(1).abs(),
        (z.pow(4).mean(1) - 3).abs(),
        (log_cosh.mean(1) - LOG_COSH_OF_A_GAUSSIAN).square(),
        (values.abs() < NEAR_ZERO * deviation).double().mean(1),
    ]
    return [float(measure.mean()) for measure in measures]


def batch_noise(scene: Scene) -> Quantities:
    """Return how much an image's logits depend on the other images in its batch: one number, at the first site.

    An image is shown `ROUNDS` times, each time among other images. The number is the variance of its logits over
    rounds, divided by their variance over images. It is 0 without BN. Noise that a normaliser draws counts too, and
    dropout does not.
    """
    dropped = [module for module in scene.model.modules() if isinstance(module, nn.Dropout) and module.training]
    for module in dropped:
        module.eval()
    try:
        return _batch_noise(scene)
    finally:
        for module in dropped:
            module.train()


def _batch_noise(scene: Scene) -> Quantities:
    images = torch.cat([_by_image(scene.model, batch) for batch, _ in scene.batches])
    size = len(_by_image(scene.model, scene.batches[0][0]))
    fixed, others = images[: size // 2], images[size // 2 :]
    generator = torch.Generator().manual_seed(0)
    rounds = []
    with torch.no_grad():
        for _ in range(ROUNDS):
            chosen = torch.randperm(len(others), generator=generator)[: size - len(fixed)]
            batch = torch.cat([fixed, others[chosen.to(others.device)]])
            if isinstance(scene.model, MLP):
                logits = scene.predict(batch[None])[0].T
            else:
                logits = scene.predict(batch)
                logits = logits[0] if isinstance(logits, tuple) else logits
            rounds.append(logits[: len(fixed)])
    logits = torch.stack(rounds)  # (rounds, images, classes)
    noise = logits.var(0).mean() / logits.mean(0).var(0).mean()
    return {"share": np.array([float(noise)] + [math.nan] * (len(scene.sites) - 1))}


def _by_image(model: nn.Module, images: Tensor) -> Tensor:
    return images[0] if isinstance(model, MLP) else images
