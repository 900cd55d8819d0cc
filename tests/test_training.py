"""Schedules, L2, initialisation, dropout, precision; how the variants differ; and which options are refused."""

import math
import subprocess
import sys
from functools import cache

import pytest
import torch
from torch import nn

from bnrepro.config.schema import Init
from bnrepro.errors import UserError
from bnrepro.layers import build_norm
from bnrepro.training import build
from bnrepro.training.init import initialise
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.loop import Member, Trainer
from bnrepro.training.population import batch_norms, moving_average, population_statistics
from bnrepro.training.sgd import SGD, decayed
from conftest import config_of

CPU = torch.device("cpu")


def test_exponential_schedule_by_hand():
    rate = build.rate(config_of("experiment=figure2/inception", "scale=paper"))
    assert rate(0) == rate(319_999) == 0.0015 and rate(320_000) == 0.0015 * 0.96
    assert rate(30_999_999) == pytest.approx(0.0015 * 0.96**96)
    assert rate(31_000_000) / 0.0015 == pytest.approx(0.019, abs=1e-3)
    faster = build.rate(config_of("experiment=figure2/bn_x30", "scale=paper"))
    assert faster(53_333) == 0.045 and faster(53_334) == 0.045 * 0.96  # 8 / 6 epochs
    assert faster(6_000_000) / 0.045 == pytest.approx(0.010, abs=1e-3)
    assert build.rate(config_of("experiment=figure1/bn", "optimizer.base_lr=3"))(10**9) == 3.0


@pytest.mark.parametrize("scale", ["paper", "tiny64", "laptop", "mini", "few", "smoke"])
def test_every_scale_decays_as_the_paper(scale):
    """To 0.019 after T, six times as fast in BN-x*, whatever T is."""
    inception = config_of("experiment=figure2/inception", f"scale={scale}")
    quick = config_of("experiment=figure2/bn_x30", f"scale={scale}")
    equal = config_of("experiment=figure2/bn_x30_equal", f"scale={scale}")
    total = inception.training.total_steps
    assert total / inception.schedule.every == pytest.approx(31e6 / 320_000, rel=1e-5)
    assert quick.schedule.every == pytest.approx(inception.schedule.every / 6)
    assert quick.training.total_steps == round(total / 4)
    assert (equal.schedule, equal.training.total_steps) == (inception.schedule, total)
    base = {"laptop": 0.015, "tiny64": 0.015, "few": 0.005}.get(scale, 0.0015)
    assert inception.optimizer.lr == base and quick.optimizer.lr == pytest.approx(30 * base)


def test_variants_differ_from_their_neighbours_in_what_the_paper_changed():
    @cache
    def flat(name: str) -> dict:
        config = vars(config_of(f"experiment=figure2/{name}", "scale=laptop"))
        plain = {k: v for k, v in config.items() if k not in ("experiment", "variant", "figure", "scale")}
        return {
            f"{section}.{key}": value
            for section, values in plain.items()
            for key, value in (vars(values) if hasattr(values, "__dict__") else {"": values}).items()
        }

    def differences(one: str, other: str) -> set[str]:
        return {key for key, value in flat(one).items() if value != flat(other)[key]}

    assert differences("inception", "bn_baseline") == {"norm.name", "norm.eps", "norm.ema_decay"}
    seven = {"optimizer.lr_multiplier", "model.dropout", "optimizer.l2_multiplier", "schedule.decay_multiplier"}
    seven |= {"model.lrn", "data.shuffle", "augment.colour"}
    assert differences("bn_baseline", "bn_x5") == seven | {"training.steps_multiplier"}
    assert differences("bn_x5", "bn_x30") == {"optimizer.lr_multiplier"}
    assert differences("bn_x5", "bn_x5_sigmoid") == {"model.nonlinearity"}
    assert differences("inception", "inception_x5") == {"optimizer.lr_multiplier"}
    assert differences("inception", "inception_sigmoid") == {"model.nonlinearity"}
    norm = {"norm.name", "norm.eps", "norm.ema_decay"}
    assert differences("bn_x30", "inception_changes_x30") - norm == set()
    assert differences("bn_x30", "bn_x30_equal") == {"schedule.decay_multiplier", "training.steps_multiplier"}


def test_l2_is_on_weights_alone_and_is_half_lambda_w_squared():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), build_norm("bn", 4), nn.Flatten(), nn.Linear(4, 2))
    groups = decayed(model, 2e-4)
    assert [group["weight_decay"] for group in groups] == [2e-4, 0.0]
    assert {id(p) for p in groups[0]["params"]} == {id(model[0].weight), id(model[3].weight)}
    assert len(groups[1]["params"]) == 4
    before = model[0].weight.detach().clone()
    optimizer = SGD(groups, lr=0.5, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(model[0].weight, before - 0.5 * 2e-4 * before)
    assert torch.equal(model[1].weight, torch.ones(4))
    assert len(decayed(model, 0.0)) == 1


def test_the_plainest_sgd_does_not_import_the_compiler():
    program = (
        "import sys, torch\n"
        "from bnrepro.training.sgd import SGD, spare_the_compiler\n"
        "spare_the_compiler()\n"
        "p = torch.nn.Parameter(torch.ones(2))\n"
        "optimizer = SGD([p], lr=0.5)\n"
        "optimizer.load_state_dict(optimizer.state_dict())\n"
        "p.grad = torch.ones(2)\n"
        "optimizer.step()\n"
        "optimizer.zero_grad()\n"
        "assert p.grad is None and p.tolist() == [0.5, 0.5] and 'torch._dynamo' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "variance"), [("he", 2.0), ("xavier", 1.0)])
def test_initial_weights(name, variance):
    model = nn.Sequential(nn.Conv2d(16, 64, 3), nn.Linear(300, 400))
    initialise(model, Init(name, gain=1.5), [3])
    for layer, fan_in in ((model[0], 144), (model[1], 300)):
        assert layer.weight.std().item() == pytest.approx(1.5 * math.sqrt(variance / fan_in), rel=0.02)
        assert layer.bias.abs().max() == 0


def test_arms_of_figure_2_are_paired_by_seed():
    """Same seed, same draws, whatever the arm's normaliser or initialisation; another seed, others."""
    arms = [("bn_baseline", 4), ("inception", 4), ("inception", 5)]
    plain, normal, other = (
        build.network(config_of(f"experiment=figure2/{name}", "scale=laptop"), [seed], CPU) for name, seed in arms
    )
    xavier = build.network(config_of("experiment=figure2/inception", "scale=laptop", "init=xavier"), [4], CPU)
    weights = [model.rows["4d"].double1.conv.weight for model in (plain, normal, other, xavier)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    torch.testing.assert_close(weights[3] * math.sqrt(2), weights[0])


def test_moving_averages_are_corrected_for_where_they_began():
    norm = build_norm("bn", 3, ema_decay=0.9)
    batches = [torch.randn(50, 3, 2, 2) * (k + 1) + k for k in range(4)]
    for batch in batches:
        norm(batch)
    weights = torch.tensor([0.1 * 0.9**age for age in (3, 2, 1, 0)])
    weights = weights / weights.sum()
    mean = sum(w * b.mean((0, 2, 3)) for w, b in zip(weights, batches, strict=True))
    variance = sum(w * b.transpose(0, 1).flatten(1).var(1) for w, b in zip(weights, batches, strict=True))
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    with moving_average(norm):
        assert not norm.training
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, variance)
        norm.train()(batches[0])  # whatever happens inside
    assert norm.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.state_dict().items())


def task_of(*overrides: str, seed: int = 0):
    config = config_of("scale=smoke", "data.images_per_class=10", *overrides)
    return build.task(config, build.dataset(config, CPU), [seed], CPU)


def test_dropouts_masks_are_a_function_of_seed_and_step():
    task = task_of("experiment=figure2/inception")
    images, labels = task.batch([0], 0)

    def loss(seed: int, step: int) -> float:
        task.prepare([seed], step)
        return task.loss(images, labels).item()

    assert loss(0, 7) == loss(0, 7) and len({loss(0, 7), loss(0, 8), loss(1, 7)}) == 3


def test_auxiliary_heads_weigh_03():
    task = task_of("experiment=googlenet/plain", "model.dropout=0")
    images, labels = task.batch([0], 0)
    task.prepare([0], 0)
    logits, heads = task.model.train()(images)
    losses = [nn.functional.cross_entropy(found, labels) for found in (logits, *heads)]
    task.prepare([0], 0)
    torch.testing.assert_close(task.loss(images, labels)[0], losses[0] + 0.3 * (losses[1] + losses[2]))


@pytest.mark.parametrize("norm", ["bn", "none"])
def test_bfloat16_is_mixed_with_normalisers_in_float32(norm):
    task = task_of("experiment=figure2/bn_x5", f"norm={norm}", "training.precision=bfloat16")
    seen = []
    for unit in task.model.modules():
        if isinstance(unit, nn.Conv2d):
            unit.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    loss = task.loss(*task.batch([0], 0))
    loss.sum().backward()
    assert set(seen) == {torch.bfloat16} and loss.dtype == torch.float32
    assert all(p.dtype == torch.float32 and p.grad.dtype == torch.float32 for p in task.model.parameters())
    for layer in batch_norms(task.model):
        assert layer.running_mean.dtype == torch.float32 and layer.num_batches_tracked == 1
    full = task_of("experiment=figure2/bn_x5", f"norm={norm}")
    assert loss.item() == pytest.approx(full.loss(*full.batch([0], 0)).item(), rel=0.05)
    assert task.evaluate()["loss"].isfinite()


def test_population_statistics_are_taken_in_the_precision_of_training():
    task, seen = task_of("experiment=figure2/bn_x5", "training.precision=bfloat16"), []
    task.model.stem.conv2.conv.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    with population_statistics(task.model, task.population(1), task.predict):
        pass
    assert seen == [torch.bfloat16]
    plain = task_of("experiment=figure2/bn_x5")
    images = [next(iter(t.data.evaluation_batches()))[0] for t in (task, plain)]
    assert torch.equal(*images)  # what is evaluated does not depend on the precision


def test_only_parameters_and_losses_say_that_a_run_diverged():
    """Moving averages are each replica's own: by them replicas would come to different ends."""
    task = task_of("experiment=figure2/bn_x5")
    optimizer = build.optimizer(config_of("experiment=figure2/bn_x5", "scale=smoke"), task.model)
    trainer = Trainer(task, optimizer, [Member(0)], 10, lambda step: 0.1, {10}, lambda step: [{}])
    batch_norms(task.model)[0].running_var.fill_(float("inf"))
    trainer._find_divergence(at_look=True)
    assert trainer.members[0].diverged_at is None
    task.model.classifier.bias.data[0] = float("nan")
    trainer._find_divergence(at_look=True)
    assert trainer.members[0].diverged_at == 0


class OneProduct:
    """A task whose loss is minus its only parameter, which an infinite rate makes overflow."""

    stack = steps_per_epoch = 1

    def __init__(self):
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.model.weight)

    def prepare(self, seeds, step) -> None: ...

    def batch(self, seeds, step) -> tuple[torch.Tensor]:
        return (torch.ones(1),)

    def loss(self, x) -> torch.Tensor:
        return -self.model(x)


@pytest.mark.parametrize(("look", "step"), [(4, 3), (2, 2)], ids=["between looks", "at a look"])
def test_when_a_run_is_saved_does_not_decide_where_it_diverges(look, step):
    """Parameters overflow in step 2. Saved or killed after each step, or never, the run diverges at the same step."""

    def trained(states: list[dict], save_every: float, stopping: bool = False) -> Trainer:
        task, stop = OneProduct(), StopRequest()
        stop.signum = 15 if stopping else None
        trainer = Trainer(
            task=task,
            optimizer=torch.optim.SGD(task.model.parameters(), lr=1.0),
            members=[Member(0)],
            steps=4,
            rate=lambda done: 1.0 if done == 0 else float("inf"),
            evaluation_steps={look, 4},
            look=lambda done: [{}],
            save_every=save_every,
        )
        if states:
            trainer.restore(states)
        trainer.train(stop)
        return trainer

    for save_every in (float("inf"), -1.0):
        assert trained([], save_every).members[0].diverged_at == step
    killed = trained([], float("inf"), stopping=True)
    while killed.members[0].diverged_at is None:
        killed = trained(killed.states(), float("inf"), stopping=True)
    assert killed.members[0].diverged_at == step


@pytest.mark.parametrize(
    "overrides",
    [
        ("experiment=figure1/bn", "training.precision=bfloat16"),
        ("experiment=figure1/bn", "training.replicas=2"),
        ("experiment=figure2/bn_x5", "norm.sync=true"),
        ("experiment=figure2/inception", "+norm.sync=true", "training.replicas=2"),
    ],
)
def test_options_that_would_be_ignored_are_refused(overrides):
    with pytest.raises(UserError):
        config_of(*overrides)


def test_fewer_images_than_a_step_takes():
    with pytest.raises(UserError, match="fewer than the 32 of one step"):
        task_of("experiment=figure2/bn_x5", "data.images_per_class=2")


def test_compile_is_what_a_step_calls(monkeypatch):
    asked = []

    def compiled(model, mode):
        asked.append(mode)
        return model

    monkeypatch.setattr(torch, "compile", compiled)
    task = task_of("experiment=figure2/bn_x5", "training.compile=reduce-overhead")
    assert asked == ["reduce-overhead"] and task.loss(*task.batch([0], 0)).isfinite()
