"""Instruments: what the paper's claims need measured inside a network while it trains, one number a layer and look.

An instrument is a function of a `Scene`; it gives arrays (L,) by the name of the quantity, one value a site (see
`sites`), and leaves the network as it found it. The network is in training mode. ``probe.instruments=[gradients,...]``
chooses them for any run.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.errors import UserError
from bnrepro.models.mlp import MLP
from bnrepro.models.placement import normalises
from bnrepro.probes.sites import Seen, Site, by_feature, loss_gradients, sites, watched
from bnrepro.seeding import draws

SATURATED = 0.05  # a derivative of the nonlinearity below this; a sigmoid's is 0.25 at most
NEAR_ZERO = 0.01  # of a unit's standard deviation
RELATIVE_STEP = 0.01  # of `amplification`: every weight moves by this share of its norm
MOST_SITES = 8  # of `shift`, which passes through the network once a site
ROUNDS = 20  # of `batch_noise`: how often an image is shown among others
Quantities = dict[str, np.ndarray]


@dataclass
class Scene:
    """A network and the fixed training mini-batches that it is looked at with.

    Args:
        model: in training mode.
        loss: images and labels to a loss of each network, as training computes it.
        predict: images to logits.
        batches: images and labels, the same at every look.
        rate: the learning rate at this step.
    """

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    predict: Callable[[Tensor], Tensor]
    batches: list[tuple[Tensor, Tensor]]
    rate: float
    places: list[Site] = field(init=False)

    def __post_init__(self) -> None:
        self.places = sites(self.model)

    def first(self) -> tuple[dict[str, Seen], Tensor]:
        """What the first batch shows at each site, with its graph, and its loss."""
        with watched(self.places) as seen:
            loss = self.loss(*self.batches[0])
        return seen, loss

    def seen(self) -> dict[str, list[Seen]]:
        """What all batches show at each site."""
        found: dict[str, list[Seen]] = {site.name: [] for site in self.places}
        with torch.no_grad(), watched(self.places) as seen:
            for images, labels in self.batches:
                self.loss(images, labels)
                for name, one in seen.items():
                    found[name].append(one)
        return found


def gradients(scene: Scene) -> Quantities:
    """Norm of the loss's gradient to W, the same over the norm of W, and the root mean square of that to x."""
    seen, loss = scene.first()
    weights = [site.weight for site in scene.places]
    inputs = [seen[site.name].x for site in scene.places]
    found = loss_gradients(loss, weights + inputs)
    of_weights, of_inputs = found[: len(weights)], found[len(weights) :]
    norms = _each(torch.linalg.vector_norm(g) for g in of_weights)
    return {
        "weight": norms,
        "weight_relative": norms / _each(torch.linalg.vector_norm(w) for w in weights),
        "input_rms": _each(g.square().mean().sqrt() for g in of_inputs),
    }


def weights(scene: Scene) -> Quantities:
    """Norm of W."""
    return {"norm": _each(torch.linalg.vector_norm(site.weight) for site in scene.places)}


def moments(scene: Scene) -> Quantities:
    """Standard deviation of W u and of x: over the values of each unit, root mean square over units."""
    seen = scene.seen()
    return {
        what: _each(
            torch.cat([by_feature(getattr(one, what)) for one in seen[site.name]], 1).var(1).mean().sqrt()
            for site in scene.places
        )
        for what in ("affine", "x")
    }


def saturation(scene: Scene) -> Quantities:
    """Mean derivative of the nonlinearity at x, and the share of x where it is below `SATURATED`."""
    seen = scene.seen()
    slopes = [_slope(site, torch.cat([one.x.flatten() for one in seen[site.name]])) for site in scene.places]
    return {
        "slope": _each(slope.mean() for slope in slopes),
        "share": _each((slope < SATURATED).float().mean() for slope in slopes),
    }


def _slope(site: Site, x: Tensor) -> Tensor:
    with torch.enable_grad():
        x = x.detach().view(1, 1, -1).requires_grad_()
        return torch.autograd.grad(site.nonlinearity(x).sum(), x)[0].flatten()


def linearity(scene: Scene) -> Quantities:
    """Of the nonlinearity at x: the share of |x| < 2, and R^2 of the best straight line through g(x)."""
    seen, inside, fit = scene.seen(), [], []
    for site in scene.places:
        x = torch.cat([one.x.flatten() for one in seen[site.name]]).double()
        y = site.nonlinearity(x.view(1, 1, -1)).flatten()
        inside.append((x.abs() < 2).double().mean())
        fit.append(torch.corrcoef(torch.stack([x, y]))[0, 1] ** 2)
    return {"inside_2": _each(inside), "r2": _each(fit)}


def gaussianity(scene: Scene) -> Quantities:
    """How far from a Gaussian, of W u and of the layer's input u: means over units.

    |skewness|, |excess kurtosis|, negentropy by Hyvarinen's approximation (1998, with log cosh), and the share of
    values within `NEAR_ZERO` standard deviations of zero (a Gaussian has 0.8 %). Units that do not vary are left out.
    """
    seen, found = scene.seen(), {}
    for what in ("affine", "u"):
        rows = []
        for site in scene.places:
            values = torch.cat([by_feature(getattr(one, what)) for one in seen[site.name]], 1).double()
            rows.append(_shape(values))
        for k, name in enumerate(("skewness", "kurtosis", "negentropy", "near_zero")):
            found[f"{what}_{name}"] = np.array([row[k] for row in rows])
    return found


LOG_COSH_OF_A_GAUSSIAN = 0.374567207491438  # E[log cosh Z], Z standard normal


def _shape(values: Tensor) -> list[float]:
    """The four measures of (C, n) values, means over units."""
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


def shift(scene: Scene) -> Quantities:
    """Internal covariate shift as Santurkar et al. 2018 define it: ||G - G'||, the same over ||G||, and their cosine.

    G is the gradient to a layer's weights, G' the same after all *earlier* layers took their step of plain gradient
    descent at the current rate, on the same batch. On at most `MOST_SITES` sites, evenly spaced; nan elsewhere.
    """
    images, labels = scene.batches[0]
    every = [parameter for parameter in scene.model.parameters() if parameter.requires_grad]
    weights = [site.weight for site in scene.places]
    before = dict(zip(map(id, every), _gradients(scene, images, labels, every), strict=True))
    chosen = {k * len(weights) // MOST_SITES for k in range(MOST_SITES)} if len(weights) > MOST_SITES else None
    found: dict[str, list[float]] = {"difference": [], "relative": [], "cosine": []}
    kept = [parameter.detach().clone() for parameter in every]
    order = {id(parameter): k for k, parameter in enumerate(every)}
    try:
        for k, weight in enumerate(weights):
            if chosen is not None and k not in chosen:
                for values in found.values():
                    values.append(math.nan)
                continue
            with torch.no_grad():
                for parameter in every[: order[id(weight)]]:
                    parameter.copy_(kept[order[id(parameter)]] - scene.rate * before[id(parameter)])
            (after,) = _gradients(scene, images, labels, [weight])
            g = before[id(weight)]
            difference = float(torch.linalg.vector_norm(g - after))
            found["difference"].append(difference)
            found["relative"].append(difference / max(float(torch.linalg.vector_norm(g)), 1e-30))
            found["cosine"].append(float(torch.cosine_similarity(g.flatten(), after.flatten(), dim=0)))
    finally:
        with torch.no_grad():
            for parameter, value in zip(every, kept, strict=True):
                parameter.copy_(value)
    return {name: np.array(values) for name, values in found.items()}


def _gradients(scene: Scene, images: Tensor, labels: Tensor, wanted: list[Tensor]) -> list[Tensor]:
    loss = scene.loss(images, labels).sum()
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]


def amplification(scene: Scene) -> Quantities:
    """How far x moves, over its norm, when every W takes a step down its gradient of `RELATIVE_STEP` of its norm."""
    seen, loss = scene.first()
    before = {name: one.x.detach().clone() for name, one in seen.items()}
    weights = [site.weight for site in scene.places]
    kept = [weight.detach().clone() for weight in weights]
    steps = loss_gradients(loss, weights)
    try:
        with torch.no_grad(), watched(scene.places) as moved:
            for weight, step in zip(weights, steps, strict=True):
                size = torch.linalg.vector_norm(step)
                if size > 0:
                    weight -= RELATIVE_STEP * torch.linalg.vector_norm(weight) * step / size
            scene.loss(*scene.batches[0])
            after = {name: one.x for name, one in moved.items()}
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, kept, strict=True):
                weight.copy_(value)
    norm = torch.linalg.vector_norm
    return {"relative": _each(norm(after[s.name] - before[s.name]) / norm(before[s.name]) for s in scene.places)}


def jacobian(scene: Scene) -> Quantities:
    """Singular values of the map from one layer's normalised activations to the next's, at single examples.

    With BN the map is x-hat -> g(gamma x-hat + beta) -> (W g - E) / sigma with the batch's own statistics held fixed;
    without, x -> W g(x) + b. The 10th, 50th and 90th percentile over singular values and 60 examples; nan for the
    first layer, which has no layer before it. For networks of dense layers without noise
    and with normalisers before the nonlinearity.
    """
    if not isinstance(scene.model, MLP) or scene.model.stack > 1:
        raise UserError("probe.instruments: jacobian is for a single multilayer perceptron")
    if draws(scene.model):
        raise UserError("probe.instruments: jacobian is for normalisers without noise")
    if any(normalises(layer, "after") for layer in scene.model.hidden):
        raise UserError("probe.instruments: jacobian is for norm.placement=before")
    seen, _ = scene.first()
    rows = [[math.nan] * 3]
    for earlier, later in zip(scene.places, scene.places[1:], strict=False):
        x = seen[earlier.name].x.detach()[0].T[:60]  # (n, C)
        slope = _slope(earlier, x.reshape(-1)).view_as(x)
        if earlier.norm is not None:
            slope = slope * earlier.norm.norm.weight.detach()
        matrix = later.weight.detach()[0][None] * slope[:, None, :]
        if later.norm is not None:
            variance = by_feature(seen[later.name].affine.detach()).var(1, unbiased=False)
            matrix = matrix / (variance + later.norm.norm.eps).sqrt()[None, :, None]
        values = torch.linalg.svdvals(matrix).flatten()
        rows.append(np.quantile(values.cpu().numpy(), (0.1, 0.5, 0.9)).tolist())
    return {name: np.array([row[k] for row in rows]) for k, name in enumerate(("p10", "p50", "p90"))}


def batch_noise(scene: Scene) -> Quantities:
    """How much an image's logits depend on the others in its batch: one number, at the first site.

    An image is shown `ROUNDS` times, each time among others; the variance of its logits over rounds, over their
    variance over images. 0 without BN, or with one image for all. Noise that a normaliser draws counts, too.
    """
    images = torch.cat([_by_image(scene.model, batch) for batch, _ in scene.batches])
    size = len(_by_image(scene.model, scene.batches[0][0]))
    fixed, others = images[: size // 2], images[size // 2 :]
    generator = torch.Generator().manual_seed(0)
    said = []
    with torch.no_grad():
        for _ in range(ROUNDS):
            company = others[torch.randperm(len(others), generator=generator)[: size - len(fixed)].to(others.device)]
            shown = torch.cat([fixed, company])
            shown = shown[None] if isinstance(scene.model, MLP) else shown
            logits = scene.predict(shown)
            logits = logits[0] if isinstance(logits, tuple) else logits
            logits = logits[0].T if isinstance(scene.model, MLP) else logits
            said.append(logits[: len(fixed)])
    logits = torch.stack(said)  # (rounds, images, classes)
    noise = logits.var(0).mean() / logits.mean(0).var(0).mean()
    return {"share": np.array([float(noise)] + [math.nan] * (len(scene.places) - 1))}


def _by_image(model: nn.Module, images: Tensor) -> Tensor:
    return images[0] if isinstance(model, MLP) else images


def _each(values) -> np.ndarray:
    return np.array([float(value.detach()) for value in values])


INSTRUMENTS: dict[str, Callable[[Scene], Quantities]] = {
    function.__name__: function
    for function in (
        gradients,
        weights,
        moments,
        saturation,
        linearity,
        gaussianity,
        shift,
        amplification,
        jacobian,
        batch_noise,
    )
}
