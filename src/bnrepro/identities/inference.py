"""Training mode against inference with fixed statistics (Sec. 3.1, Alg. 2), in the real networks."""

import copy
from functools import partial

import torch
from torch import Tensor, nn

from bnrepro.identities.common import EPS, Numbers, difference, generator, randn, relative_difference
from bnrepro.layers import build_norm
from bnrepro.layers.batch_norm import BatchNorm
from bnrepro.models.folded import fold, folded
from bnrepro.models.inception import Inception
from bnrepro.models.mlp import MLP
from bnrepro.training.population import batch_norms, population_statistics

M = 8
SIZES = (784, 100, 100, 100, 10)


@torch.no_grad()
def _prepare(model: nn.Module, batches: list[Tensor], rng: torch.Generator) -> None:
    """Weights of variance 2 / fan in, biases and beta normal, gamma in [0.5, 1.5); statistics of the batches."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.weight.copy_(0.5 + torch.rand(module.num_features, generator=rng, dtype=torch.float64))
            module.bias.copy_(randn(rng, module.num_features))
        elif (weight := getattr(module, "weight", None)) is not None:
            fan_in = weight[0].numel() if weight.ndim != 3 else weight.shape[2]
            weight.copy_(randn(rng, *weight.shape) * (2 / fan_in) ** 0.5)
            if getattr(module, "bias", None) is not None:
                module.bias.copy_(randn(rng, *module.bias.shape))
    for batch in batches:
        model(batch)


def inception(rng: torch.Generator) -> tuple[Inception, list[Tensor]]:
    """BN-Inception for 32 px at a quarter of its width, with random parameters and running statistics, and batches."""
    norm_layer = partial(build_norm, "bn", eps=EPS)
    model = Inception(10, norm_layer=norm_layer, pixels=32, width=0.25, stem_reduction=4).double()
    batches = [randn(rng, M, 3, 32, 32) for _ in range(3)]
    _prepare(model, batches, rng)
    return model, batches


def mlp(rng: torch.Generator) -> tuple[MLP, list[Tensor]]:
    """Sec. 4.1's network, with random parameters and running statistics, and mini-batches (1, 60, 784)."""
    model = MLP(SIZES, lambda features: BatchNorm(features, eps=EPS)).double()
    batches = [torch.empty(1, 60, 784, dtype=torch.float64).bernoulli_(0.2, generator=rng) for _ in range(3)]
    _prepare(model, batches, rng)
    return model, batches


def folded_mlp(model: MLP) -> MLP:
    """The same function without normalisers, each folded into the weights before it."""
    plain = MLP(SIZES, lambda features: None).to(model.output.weight.dtype)
    plain.output.load_state_dict(model.output.state_dict())
    for copied, layer in zip(plain.hidden, model.hidden, strict=True):
        weight, bias = fold(layer.linear.weight, layer.linear.bias, layer.norm.norm)
        copied.linear.weight.data, copied.linear.bias.data = weight, bias.view(copied.linear.bias.shape)
    return plain


@torch.no_grad()
def batch_mates() -> Numbers:
    """An image's logits among two sets of batch-mates (Sec. 3 and 3.1): largest change over the largest logit.

    inference_inception, inference_mlp: with fixed statistics. training_inception, training_mlp: in training mode.
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
            numbers[f"{mode}_{name}"] = relative_difference(*logits)
    return numbers


@torch.no_grad()
def fixed_statistics() -> Numbers:
    """Inference with population statistics (Sec. 3.1, Alg. 2): deterministic, unbiased, foldable.

    folding_*: largest difference of the logits with BN folded into the weights, over the largest logit, in float64 and
    for inception in float32. repetition: of two passes over one batch. running_variance_error: relative, of the running
    variance after one step from 0.9 * 1 + 0.1 * m / (m - 1) * Var. biased_variance_error: the same without m / (m - 1).
    folded_normalisers: of Inception's 69, how many are gone.
    population_variance_error, population_mean_error: relative, of Alg. 2's statistics over three mini-batches from
    m / (m - 1) times the mean of Var, and from the mean of E.
    """
    rng = generator()
    network, images = inception(rng)
    dense, digits = mlp(rng)
    network.eval(), dense.eval()
    single = copy.deepcopy(network).float()
    logits, single_logits = network(images[0]), single(images[0].float())

    m, features = 60, 4
    x = [2 * randn(rng, m, features) + 1 for _ in range(3)]
    variances = [batch.var(0, correction=0) for batch in x]
    norm = BatchNorm(features).double()
    norm(x[0])
    unbiased, biased = (0.9 + 0.1 * factor * variances[0] for factor in (m / (m - 1), 1))
    with population_statistics(norm, x):
        mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    return {
        "folding_inception": relative_difference(folded(network)(images[0]), logits),
        "folding_inception_float32": relative_difference(folded(single)(images[0].float()), single_logits),
        "folding_mlp": relative_difference(folded_mlp(dense)(digits[0]), dense(digits[0])),
        "folded_normalisers": float(len(batch_norms(network)) - len(batch_norms(folded(network)))),
        "repetition": max(difference(network(images[0]), logits), difference(dense(digits[0]), dense(digits[0]))),
        "running_variance_error": relative_difference(norm.running_var, unbiased),
        "biased_variance_error": relative_difference(norm.running_var, biased),
        "population_variance_error": relative_difference(variance, m / (m - 1) * sum(variances) / 3),
        "population_mean_error": relative_difference(mean, sum(batch.mean(0) for batch in x) / 3),
    }
