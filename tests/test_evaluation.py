"""Alg. 2 and accuracy against hand computation."""

import torch
from torch import nn

from bnrepro.config.schema import Evaluation
from bnrepro.layers import build_norm
from bnrepro.models.mlp import MLP
from bnrepro.training.accuracy import accuracy_of
from bnrepro.training.look import Evaluator
from bnrepro.training.population import batch_norms, population_statistics


def network(norm: str = "bn", stack: int = 1, momentum_decay: float = 0.9) -> MLP:
    model = MLP([12, 8, 6, 5], lambda c: build_norm(norm, c, eps=1e-3, ema_decay=momentum_decay), stack=stack)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator)
    return model.double()


def batches(count: int, size: int = 60) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, size, 12, generator=generator, dtype=torch.float64) + k for k in range(count)]


def test_population_statistics_are_algorithm_2():
    """E[x] = E_B[mu_B]; Var[x] = m/(m-1) E_B[sigma_B^2], in the training network, for every layer."""
    for norm in ("bn", "bn_reference"):
        model, chosen = network(norm), batches(7)
        caught: dict[int, list[torch.Tensor]] = {0: [], 1: []}
        hooks = [
            layer.norm.register_forward_pre_hook(lambda _, args, into=caught[k]: into.append(args[0][0]))
            for k, layer in enumerate(model.hidden)
        ]
        with population_statistics(model, chosen):
            for hook in hooks:
                hook.remove()
            for k, layer in enumerate(batch_norms(model)):
                means = torch.stack([u.mean(1) for u in caught[k]])
                variances = torch.stack([((u - u.mean(1, keepdim=True)) ** 2).mean(1) for u in caught[k]])
                torch.testing.assert_close(layer.running_mean, means.mean(0))
                torch.testing.assert_close(layer.running_var, 60 / 59 * variances.mean(0))
            assert not model.training


def test_population_statistics_leave_no_trace():
    model = network().train()
    model(batches(1)[0])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with population_statistics(model, batches(3)):
        model.train()
        model(batches(1)[0] + 100)  # whatever happens inside
    assert model.training and [norm.momentum for norm in batch_norms(model)] == [0.09999999999999998] * 2
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_inference_is_one_fixed_affine_map():
    model, x = network(), batches(1)[0]
    with population_statistics(model, batches(5)):
        assert torch.allclose(model(x[:, :7]), model(x)[..., :7])  # batch-mates do not matter
        for norm in batch_norms(model):
            u, v = torch.randn(2, 60, norm.num_features, dtype=torch.float64)
            torch.testing.assert_close(norm(3 * u - 2 * v), 3 * norm(u) - 2 * norm(v))


class Statistics:
    """A task whose measures are the statistics that the first normaliser has when it is evaluated."""

    stack = 1

    def __init__(self):
        self.model = self.predict = network().train()
        for batch in batches(2):
            self.model(batch)

    def population(self, count: int) -> list[torch.Tensor]:
        return batches(3)

    def evaluate(self) -> dict[str, torch.Tensor]:
        norm = batch_norms(self.model)[0]
        return {"mean": norm.running_mean[:1].clone(), "var": norm.running_var[:1].clone()}


def test_the_moving_average_is_the_same_whichever_statistics_are_asked_for():
    finals = []
    for statistics in ("population", "moving_average"):
        look = Evaluator(Statistics(), [], Evaluation(statistics=statistics), "val")
        look(2, last=True)
        finals.append(look.final[0])
    for name in ("val/mean_moving_average", "val/var_moving_average"):
        assert finals[0][name] == finals[1][name] != finals[0][name.removesuffix("_moving_average")]


def test_accuracy_by_hand():
    """Three images, seven classes; ties and NaN are no right answers."""
    logits = torch.zeros(2, 7, 3)
    logits[0, 2, 0] = 5.0  # right
    logits[0, :, 1] = torch.arange(7.0)  # label 2 has rank 5
    logits[0, :, 2] = torch.arange(7.0)  # label 1 has rank 6
    logits[1, 2, 0] = 5.0
    logits[1, :, 1] = 0.0  # all tied
    logits[1, :, 2] = float("nan")
    labels = torch.tensor([2, 2, 1]).expand(2, -1)
    means = accuracy_of([(logits[..., :2], labels[:, :2]), (logits[..., 2:], labels[:, 2:])])
    assert means["top1"].tolist() == [1 / 3, 1 / 3]
    assert means["top5"].tolist() == [2 / 3, 1 / 3]
    expected = nn.functional.cross_entropy(logits[0].T, torch.tensor([2, 2, 1])).double()
    torch.testing.assert_close(means["loss"][0], expected, rtol=1e-6, atol=0)
