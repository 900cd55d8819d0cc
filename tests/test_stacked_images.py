"""Networks side by side compute what each computes alone: outputs, gradients, statistics, to rounding in float64."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F

from bnrepro.models.stacked_images import own_state, stack_networks, stacked_name
from bnrepro.training import build
from bnrepro.training.stacks.step import Descent
from conftest import config_of

CPU = torch.device("cpu")
WITH_LRN, WITHOUT = ("model.lrn=true", "model.lrn_alpha=0.5"), ("model.lrn=false",)
PLAIN, BN = ("experiment=figure2/inception", *WITH_LRN), ("experiment=figure2/bn_x5", *WITHOUT)
KINDS = {
    "plain": (PLAIN, ("experiment=figure2/inception", *WITHOUT)),
    "bn": (BN, ("experiment=figure2/bn_baseline", "init.beta=1", *WITH_LRN)),
    "with and without bn, relu and sigmoid": (BN, PLAIN, ("experiment=figure2/bn_x5_sigmoid", *WITHOUT)),
    "per activation": (("experiment=figure4/member6",), ("experiment=figure4/member3", "init.beta=1")),
    "googlenet": (("experiment=googlenet/bn",), ("experiment=googlenet/plain",)),
}


def networks(kinds: Sequence[Sequence[str]]) -> list[torch.nn.Module]:
    """A network of each kind in float64 that drops nothing out."""
    configs = [config_of(*kind, "scale=smoke") for kind in kinds]
    made = [build.network(config, [seed], CPU, 10).double() for seed, config in enumerate(configs)]
    for module in (module for network in made for module in network.modules()):
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return made


def with_auxiliary(output: torch.Tensor | tuple[torch.Tensor, list[torch.Tensor]]) -> list[torch.Tensor]:
    """The logits of the network and of its auxiliary heads."""
    return [output[0], *output[1]] if isinstance(output, tuple) else [output]


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_outputs_gradients_and_statistics_are_those_of_each_network_alone(kinds):
    alone = networks(kinds)
    stack = stack_networks(alone)
    torch.manual_seed(0)
    images, labels = torch.randn(len(alone), 8, 3, 32, 32, dtype=torch.float64), torch.randint(10, (len(alone), 8))
    outputs = with_auxiliary(stack(images.transpose(1, 2)))
    losses = sum(F.cross_entropy(logits, labels, reduction="none").mean(1) for logits in outputs)
    names, parameters = zip(*stack.named_parameters(), strict=True)
    gradients = dict(zip(names, torch.autograd.grad(losses.sum(), parameters), strict=True))
    for k, network in enumerate(alone):
        own_outputs = with_auxiliary(network(images[k]))
        assert len(own_outputs) == len(outputs)
        loss = sum(F.cross_entropy(logits, labels[k]) for logits in own_outputs)
        loss.backward()
        torch.testing.assert_close(losses[k], loss)
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(
                gradients[stacked_name(name, gradients)][k],
                parameter.grad,
                msg=lambda text, name=name: f"{name}: {text}",
            )
        expected = network.state_dict()
        state = own_state(stack.state_dict(), k, expected)
        for name in state:
            torch.testing.assert_close(state[name], expected[name], msg=lambda text, name=name: f"{name}: {text}")
    stack.eval()
    for k, network in enumerate(alone):
        network.eval()
        torch.testing.assert_close(stack(images.transpose(1, 2))[k].T, network(images[k]))


@pytest.mark.parametrize("kinds", [(PLAIN, BN), KINDS["googlenet"]], ids=["inception", "googlenet"])
def test_a_step_of_descent_is_that_of_torchs_sgd_for_each_network(kinds):
    alone = networks(kinds)
    stack = stack_networks(alone)
    rates, l2 = (1e-4, 2e-5), (1e-2, 0.0)
    descent = Descent(stack, list(l2), 0.9)
    config = config_of("experiment=figure2/bn_x5", "scale=smoke")
    optimizers = []
    for network, rate, strength in zip(alone, rates, l2, strict=True):
        config.optimizer.base_lr, config.optimizer.lr_multiplier = rate, 1.0
        config.optimizer.base_l2, config.optimizer.l2_multiplier = strength, 1.0
        optimizers.append(build.optimizer(config, network))
    torch.manual_seed(0)
    for _ in range(3):
        images = torch.randn(2, 8, 3, 32, 32, dtype=torch.float64)
        outputs = with_auxiliary(stack(images.transpose(1, 2)))
        descent.step(sum(logits.square().sum() for logits in outputs), torch.tensor(rates, dtype=torch.float64))
        for k, network in enumerate(alone):
            optimizers[k].zero_grad()
            sum(logits.square().sum() for logits in with_auxiliary(network(images[k]))).backward()
            optimizers[k].step()
    for k, network in enumerate(alone):
        for name, expected in network.state_dict().items():
            mine = own_state(stack.state_dict(), k, [name])[name]
            torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-9)


def test_each_network_drops_out_at_its_own_rate():
    config = ["experiment=figure2/inception", "scale=smoke"]
    alone = [build.network(config_of(*config, f"model.dropout={rate}"), [0], CPU, 10) for rate in (0.0, 0.4)]
    dropout = stack_networks(alone).head_drop
    torch.manual_seed(0)
    x = torch.ones(2, 256, 32)
    kept = dropout(x)
    assert torch.equal(kept[0], x[0])
    assert 0.38 < (kept[1] == 0).float().mean() < 0.42 and kept[1].max().item() == pytest.approx(1 / 0.6)
    assert dropout.eval()(x) is x
