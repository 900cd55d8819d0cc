"""Training mode against inference with fixed statistics (Sec. 3.1, Alg. 2), in the real networks."""

import copy
from functools import partial

import torch
from torch import Tensor, nn

from bnrepro.identities.common import EPS, Numbers, batch_norm, difference, generator, randn, relative_error
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models.folded import folded
from bnrepro.models.inception import Inception
from bnrepro.models.mlp import MLP


@torch.no_grad()
def _randomise(model: nn.Module, batches: list[Tensor], rng: torch.Generator) -> None:
    """Give the model random parameters, and running statistics from the batches.

    Weights have variance 2 / fan in; biases and beta are normal; gamma is in [0.5, 1.5).
    """
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.weight.copy_(0.5 + torch.rand(module.num_features, generator=rng, dtype=torch.float64))
            module.bias.copy_(randn(rng, module.num_features))
        elif (weight := getattr(module, "weight", None)) is not None:
            fan_in = weight.shape[2] if weight.ndim == 3 else weight[0].numel()  # 3 axes: stacked, (S, out, in)
            weight.copy_(randn(rng, *weight.shape) * (2 / fan_in) ** 0.5)
            if getattr(module, "bias", None) is not None:
                module.bias.copy_(randn(rng, *module.bias.shape))
    for batch in batches:
        model(batch)


def inception(rng: torch.Generator) -> tuple[Inception, list[Tensor]]:
    """Make a random BN-Inception for 32 px at a quarter of its width, and three mini-batches (8, 3, 32, 32)."""
    norm_layer = partial(build_norm, "bn", eps=EPS)
    model = Inception(10, norm_layer=norm_layer, pixels=32, width=0.25, stem_reduction=4).double()
    batches = [randn(rng, 8, 3, 32, 32) for _ in range(3)]
    _randomise(model, batches, rng)
    return model, batches


def mlp(rng: torch.Generator) -> tuple[MLP, list[Tensor]]:
    """Make a random network of Sec. 4.1 with BN, and three mini-batches (1, 60, 784)."""
    model = MLP((784, 100, 100, 100, 10), lambda features: BatchNorm(features, eps=EPS)).double()
    batches = [torch.empty(1, 60, 784, dtype=torch.float64).bernoulli_(0.2, generator=rng) for _ in range(3)]
    _randomise(model, batches, rng)
    return model, batches


@torch.no_grad()
def batch_mates() -> Numbers:
    """Measure how much an image's logits change with the other images of its mini-batch (Sec. 3 and 3.1).

    ``inference_*`` and ``training_*`` are the largest change divided by the largest logit.
    """
    rng = generator()
    numbers: Numbers = {}
    for name, (model, batches), axis in (("inception", inception(rng), 0), ("mlp", mlp(rng), 1)):
        first = batches[0]
        image, mates = first.narrow(axis, 0, 1), batches[1].narrow(axis, 1, first.shape[axis] - 1)
        among_others = torch.cat([image, mates], axis)
        for mode in ("inference", "training"):
            model.train(mode == "training")
            logits = [model(batch).select(0 if name == "inception" else 2, 0) for batch in (among_others, first)]
            numbers[f"{mode}_{name}"] = relative_error(*logits)
    return numbers


@torch.no_grad()
def fixed_statistics() -> Numbers:
    """Measure that inference is deterministic and foldable, and its statistics unbiased (Sec. 3.1, Alg. 2).

    ``folding_*`` is the largest difference between the logits with BN and those with BN folded into the weights,
    divided by the largest logit.
    """
    rng = generator()
    network, images = inception(rng)
    network.eval()
    single = copy.deepcopy(network).float()
    logits, single_logits = network(images[0]), single(images[0].float())

    x = 2 * randn(rng, 60, 4) + 1
    norm = batch_norm(4, EPS, affine=True)
    norm(x)
    unbiased, biased = (0.9 + 0.1 * x.var(0, correction=correction) for correction in (1, 0))
    return {
        "folding_inception": relative_error(folded(network)(images[0]), logits),
        "folding_inception_float32": relative_error(folded(single)(images[0].float()), single_logits),
        "repetition": difference(network(images[0]), logits),
        "running_variance_error": relative_error(norm.running_var, unbiased),  # after one step of momentum 0.1
        "biased_variance_error": relative_error(norm.running_var, biased),  # the same without m / (m - 1)
    }
