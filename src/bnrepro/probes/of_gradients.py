"""Instruments that use gradients or move the weights: gradients, covariate shift, amplification, Jacobians."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.config.seeding import draws
from bnrepro.errors import UserError
from bnrepro.models.mlp import MLP
from bnrepro.probes.scene import Quantities, Scene, by_feature, per_site, recorded_activations, slope_at

RELATIVE_STEP = 0.01  # `amplification` moves every weight by this share of its norm
MOST_SITES = 8  # `shift` measures at most so many sites, because each takes a pass through the network


def gradients(scene: Scene) -> Quantities:
    """Return the norm of the loss's gradient to W, its ratio to the norm of W, and the root mean square to x."""
    activations, loss = scene.first_pass()
    weights = [site.weight for site in scene.sites]
    inputs = [activations[site.name].x for site in scene.sites]
    to_both = loss_gradients(loss, weights + inputs)
    to_weights, to_inputs = to_both[: len(weights)], to_both[len(weights) :]
    norms = per_site(torch.linalg.vector_norm(g) for g in to_weights)
    return {
        "weight": norms,
        "weight_relative": norms / per_site(torch.linalg.vector_norm(w) for w in weights),
        "input_rms": per_site(g.square().mean().sqrt() for g in to_inputs),
    }


def loss_gradients(loss: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """Return the gradients of a summed loss to these tensors, 0 for unused ones. No ``.grad`` is touched."""
    return list(torch.autograd.grad(loss.sum(), tensors, materialize_grads=True))


@contextmanager
def _restored(parameters: list[Tensor]) -> Iterator[list[Tensor]]:
    """Give the parameters' values. Inside, under ``no_grad``, they may be changed in place; the end restores them."""
    values = [parameter.clone() for parameter in parameters]
    try:
        yield values
    finally:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)


def shift(scene: Scene) -> Quantities:
    """Return the covariate shift of Santurkar et al. 2018: ||G - G'||, ||G - G'|| / ||G||, and their cosine.

    G is the gradient to a layer's weights. G' is that gradient after all *earlier* layers took their step of plain
    gradient descent at the current rate, on the same batch. Earlier layers are those that come before it among the
    network's parameters. In Inception they include the branches of its own module that stand before its branch. Only
    `MOST_SITES` evenly spaced sites are measured; the others are nan.
    """
    images, labels = scene.batches[0]
    parameters = [parameter for parameter in scene.model.parameters() if parameter.requires_grad]
    position = {id(parameter): k for k, parameter in enumerate(parameters)}
    before = loss_gradients(scene.loss(images, labels), parameters)
    count = len(scene.sites)
    measured = {k * count // MOST_SITES for k in range(MOST_SITES)} if count > MOST_SITES else range(count)
    quantities = {name: np.full(count, math.nan) for name in ("difference", "relative", "cosine")}
    with torch.no_grad(), _restored(parameters) as values:
        for k in sorted(measured):
            weight = scene.sites[k].weight
            index = position[id(weight)]
            for parameter, value, gradient in zip(parameters[:index], values, before, strict=False):
                parameter.copy_(value - scene.rate * gradient)
            with torch.enable_grad():
                (after,) = loss_gradients(scene.loss(images, labels), [weight])
            difference = float(torch.linalg.vector_norm(before[index] - after))
            quantities["difference"][k] = difference
            quantities["relative"][k] = difference / max(float(torch.linalg.vector_norm(before[index])), 1e-30)
            quantities["cosine"][k] = float(torch.cosine_similarity(before[index].flatten(), after.flatten(), dim=0))
    return quantities


def amplification(scene: Scene) -> Quantities:
    """||change of x|| / ||x|| when every W moves down its gradient by `RELATIVE_STEP` of its norm."""
    norm = torch.linalg.vector_norm
    activations, loss = scene.first_pass()
    before = {name: of_site.x.detach().clone() for name, of_site in activations.items()}
    weights = [site.weight for site in scene.sites]
    steps = loss_gradients(loss, weights)
    with torch.no_grad(), _restored(weights), recorded_activations(scene.sites) as moved:
        for weight, step in zip(weights, steps, strict=True):
            if norm(step) > 0:
                weight -= RELATIVE_STEP * norm(weight) * step / norm(step)
        scene.loss(*scene.batches[0])
        after = {name: of_site.x for name, of_site in moved.items()}
    return {"relative": per_site(norm(after[s.name] - before[s.name]) / norm(before[s.name]) for s in scene.sites)}


def jacobian(scene: Scene) -> Quantities:
    """Return the singular values of the map from one layer's normalised activations to the next's, at single examples.

    With BN the map is x-hat -> g(gamma x-hat + beta) -> (W g - E) / sigma, with the batch's own statistics held fixed.
    Without BN it is x -> W g(x) + b. The quantities are the 10th, 50th and 90th percentile over singular values and 60
    examples, and nan for the first layer.

    Raises:
        UserError: the network is not a single one of dense layers, with BN before the nonlinearity or without BN.
    """
    if not isinstance(scene.model, MLP) or scene.model.stack > 1:
        raise UserError("probe.instruments: jacobian is for a single multilayer perceptron")
    norms = [site.norm.norm for site in scene.sites if site.norm is not None]
    if draws(scene.model) or not all(isinstance(norm, _BatchNorm) for norm in norms):
        raise UserError("probe.instruments: jacobian is for networks without a normaliser or with BN without noise")
    if any(site.norm is not None and not site.norm_before for site in scene.sites):
        raise UserError("probe.instruments: jacobian is for norm.placement=before")
    activations, _ = scene.first_pass()
    rows = [[math.nan] * 3]
    for earlier, later in pairwise(scene.sites):
        x = activations[earlier.name].x.detach()[0].T[:60]  # (n, C)
        slope = slope_at(earlier, x.reshape(-1)).view_as(x)
        if earlier.norm is not None and earlier.norm.norm.weight is not None:
            slope = slope * earlier.norm.norm.weight.detach()
        matrix = later.weight.detach()[0][None] * slope[:, None, :]
        if later.norm is not None:
            variance = by_feature(activations[later.name].affine.detach()).var(1, unbiased=False)
            matrix = matrix / (variance + later.norm.norm.eps).sqrt()[None, :, None]
        values = torch.linalg.svdvals(matrix).flatten()
        rows.append(np.quantile(values.cpu().numpy(), (0.1, 0.5, 0.9)).tolist())
    return {name: np.array([row[k] for row in rows]) for k, name in enumerate(("p10", "p50", "p90"))}
