"""What a gradient is to a part of the network: an upper sub-network, a bias before the normaliser."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.identities.common import EPS, Numbers, difference, generator, randn, relative_difference
from bnrepro.layers.batch_norm import BatchNorm

RATE = 0.5


def _fill(model: nn.Module, rng: torch.Generator) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = randn(rng, *layer.weight.shape) / layer.in_features**0.5
            layer.bias.data = randn(rng, layer.out_features)


def _gradients(model: nn.Module, loss: Tensor) -> Tensor:
    """All parameters' gradients as one vector."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, tuple(model.parameters()))])


def _step(model: nn.Module, gradients: Tensor) -> None:
    parameters = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(parameters - RATE * gradients, model.parameters())


def upper_network() -> Numbers:
    """A network F2(F1(u)) and F2 alone, fed x = F1(u) (Sec. 1), both with batch normalisation inside.

    gradient_difference: largest, of F2's parameters. parameter_difference: theirs after one step of SGD.
    output_difference: of F2's outputs, where both then see one x. stale_relative_difference: of F2's gradients at the
    next step, if F2 alone is still fed the old x, which F1 has left; this one is not 0.
    """
    rng = generator()
    lower = nn.Sequential(nn.Linear(8, 6), BatchNorm(6), nn.Sigmoid()).double()
    upper = nn.Sequential(nn.Linear(6, 5), BatchNorm(5), nn.Sigmoid(), nn.Linear(5, 3)).double()
    whole = nn.Sequential(lower, upper)
    _fill(whole, rng)
    alone = copy.deepcopy(upper)
    u, labels = randn(rng, 60, 8), torch.randint(3, (60,), generator=rng)

    x = lower(u).detach()
    of_whole = _gradients(whole, F.cross_entropy(whole(u), labels))
    of_alone = _gradients(alone, F.cross_entropy(alone(x), labels))
    gradient_difference = difference(of_whole[-of_alone.numel() :], of_alone)
    _step(whole, of_whole)
    _step(alone, of_alone)
    parameters = [nn.utils.parameters_to_vector(model.parameters()) for model in (upper, alone)]
    moved = lower(u).detach()
    fresh, stale = (_gradients(alone, F.cross_entropy(alone(inputs), labels)) for inputs in (moved, x))
    return {
        "gradient_difference": gradient_difference,
        "parameter_difference": difference(*parameters),
        "output_difference": difference(whole(u), alone(moved)),
        "stale_relative_difference": relative_difference(stale, fresh),
    }


def bias() -> Numbers:
    """z = g(BN(Wu + b)) (Sec. 3.2).

    bias_gradient: the largest gradient of b. output_difference: over b of sizes 1 and 100, after BN.
    beta_gradient, unnormalised_output_difference: the same two for what does have an effect, beta in place of b and
    b without BN.
    """
    rng = generator()
    linear, norm = nn.Linear(8, 4).double(), BatchNorm(4, eps=EPS).double()
    _fill(linear, rng)
    u, dz = randn(rng, 60, 8), randn(rng, 60, 4)
    x = linear(u)
    y = norm(x)
    of_bias, of_beta = torch.autograd.grad((torch.sigmoid(y) * dz).sum(), (linear.bias, norm.bias))
    outputs, plain = [], []
    for size in (1, 100):
        linear.bias.data += size * randn(rng, 4)
        plain.append(difference(linear(u), x))
        outputs.append(difference(norm(linear(u)), y))
    return {
        "bias_gradient": of_bias.abs().max().item(),
        "output_difference": max(outputs),
        "beta_gradient": of_beta.abs().max().item(),
        "unnormalised_output_difference": min(plain),
    }
