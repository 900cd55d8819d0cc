"""Gradients of a part of a network: an upper sub-network, and a bias before the normaliser."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from bnrepro.identities.common import EPS, Numbers, difference, generator, randn, relative_error
from bnrepro.layers.batch_norm import BatchNorm

RATE = 0.5


def _fill(model: nn.Module, rng: torch.Generator) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = randn(rng, *layer.weight.shape) / layer.in_features**0.5
            layer.bias.data = randn(rng, layer.out_features)


def _gradient(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the cross-entropy to all parameters, as one vector."""
    loss = F.cross_entropy(model(x), labels)
    return parameters_to_vector(torch.autograd.grad(loss, tuple(model.parameters())))


def _step(model: nn.Module, gradient: Tensor) -> None:
    vector_to_parameters(parameters_to_vector(model.parameters()) - RATE * gradient, model.parameters())


def upper_network() -> Numbers:
    """Compare how F2(F1(u)) learns with how F2 alone does on x = F1(u) (Sec. 1); both parts contain BN."""
    rng = generator()
    lower = nn.Sequential(nn.Linear(8, 6), BatchNorm(6), nn.Sigmoid()).double()
    upper = nn.Sequential(nn.Linear(6, 5), BatchNorm(5), nn.Sigmoid(), nn.Linear(5, 3)).double()
    whole = nn.Sequential(lower, upper)
    _fill(whole, rng)
    alone = copy.deepcopy(upper)
    u, labels = randn(rng, 60, 8), torch.randint(3, (60,), generator=rng)

    x = lower(u).detach()
    of_whole, of_alone = _gradient(whole, u, labels), _gradient(alone, x, labels)
    gradient_difference = difference(of_whole[-of_alone.numel() :], of_alone)
    _step(whole, of_whole)
    _step(alone, of_alone)
    fresh, stale = _gradient(alone, lower(u).detach(), labels), _gradient(alone, x, labels)
    parameters = (parameters_to_vector(model.parameters()) for model in (upper, alone))
    return {
        "gradient_difference": gradient_difference,  # of F2's parameters
        "parameter_difference": difference(*parameters),  # after one step of SGD
        "stale_relative_difference": relative_error(stale, fresh),  # not 0: F2 alone still gets the old x
    }


def bias() -> Numbers:
    """Measure the effect of b in z = g(BN(Wu + b)), which is none (Sec. 3.2), of beta, and of b without BN."""
    rng = generator()
    linear, norm = nn.Linear(8, 4).double(), BatchNorm(4, eps=EPS).double()
    _fill(linear, rng)
    u, dz = randn(rng, 60, 8), randn(rng, 60, 4)
    x = linear(u)
    y = norm(x)
    of_bias, of_beta = torch.autograd.grad((torch.sigmoid(y) * dz).sum(), (linear.bias, norm.bias))
    with_norm, without_norm = [], []
    for size in (1, 100):
        linear.bias.data += size * randn(rng, 4)
        without_norm.append(difference(linear(u), x))
        with_norm.append(difference(norm(linear(u)), y))
    return {
        "bias_gradient": of_bias.abs().max().item(),
        "output_difference": max(with_norm),  # when b changes
        "beta_gradient": of_beta.abs().max().item(),
        "unnormalised_output_difference": min(without_norm),
    }
