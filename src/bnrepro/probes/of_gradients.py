"""Instruments that go backward through the network, or move its weights: gradients, shift, amplification, Jacobians."""

import math

import numpy as np
import torch
from torch import Tensor

from bnrepro.errors import UserError
from bnrepro.models.mlp import MLP
from bnrepro.models.placement import normalises
from bnrepro.probes.scene import Quantities, Scene, each, slope_at
from bnrepro.probes.sites import by_feature, loss_gradients, watched
from bnrepro.seeding import draws

RELATIVE_STEP = 0.01  # of `amplification`: every weight moves by this share of its norm
MOST_SITES = 8  # of `shift`, which passes through the network once a site


def gradients(scene: Scene) -> Quantities:
    """Norm of the loss's gradient to W, the same over the norm of W, and the root mean square of that to x."""
    seen, loss = scene.first()
    weights = [site.weight for site in scene.places]
    inputs = [seen[site.name].x for site in scene.places]
    found = loss_gradients(loss, weights + inputs)
    of_weights, of_inputs = found[: len(weights)], found[len(weights) :]
    norms = each(torch.linalg.vector_norm(g) for g in of_weights)
    return {
        "weight": norms,
        "weight_relative": norms / each(torch.linalg.vector_norm(w) for w in weights),
        "input_rms": each(g.square().mean().sqrt() for g in of_inputs),
    }


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
    return {"relative": each(norm(after[s.name] - before[s.name]) / norm(before[s.name]) for s in scene.places)}


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
        slope = slope_at(earlier, x.reshape(-1)).view_as(x)
        if earlier.norm is not None:
            slope = slope * earlier.norm.norm.weight.detach()
        matrix = later.weight.detach()[0][None] * slope[:, None, :]
        if later.norm is not None:
            variance = by_feature(seen[later.name].affine.detach()).var(1, unbiased=False)
            matrix = matrix / (variance + later.norm.norm.eps).sqrt()[None, :, None]
        values = torch.linalg.svdvals(matrix).flatten()
        rows.append(np.quantile(values.cpu().numpy(), (0.1, 0.5, 0.9)).tolist())
    return {name: np.array([row[k] for row in rows]) for k, name in enumerate(("p10", "p50", "p90"))}
