"""What only a GPU can show: that the fast settings learn as float32 does, and that a run there resumes and says how."""

import json
import signal
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.models.stacked_images import stack_networks
from bnrepro.training import build
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.loop import Member, Trainer
from conftest import config_of
from launches import only_run, start, wait_for_steps

FAST = ("training.precision=bfloat16", "training.compile=reduce-overhead")  # channels_last is how every run is
LEARNING = ("schedule.name=constant", "training.batch_size=128")  # at smoke scale 20 steps of 32 learn nothing
STEPS = 20
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def losses(device: str, seed: int, *overrides: str) -> Tensor:
    """The loss of each of the first steps of BN-x5 at smoke scale, (STEPS,)."""
    config = config_of("experiment=figure2/bn_x5", "scale=smoke", *LEARNING, f"device={device}", *overrides)
    on = build.device(config)
    task = build.task(config, build.dataset(config, on), [seed], on)
    optimizer = build.optimizer(config, task.model)
    trainer = Trainer(task, optimizer, [Member(seed)], STEPS, build.rate(config), {STEPS}, lambda step: [{}])
    trainer.train(StopRequest())
    return trainer.losses[:STEPS, 0].cpu()


def assert_same_curve(device: str, *fast: str) -> None:
    """The fast setting begins where float32 does, then differs from it no more than another seed; and both learn.

    Closer than a seed it cannot stay: a deep network at its beginning makes as much of a change of 0.1 % in its weights
    within a few steps, in float32 too.
    """
    quick, slow, other = losses(device, 0, *fast), losses(device, 0), losses(device, 1)
    noise = (slow - other).square().mean().sqrt()
    assert (quick - slow).square().mean().sqrt() < 1.5 * noise, (quick, slow, other)
    assert abs(quick[0] - slow[0]) < noise / 2 and abs((quick - slow).mean()) < noise, (quick, slow, other)
    for curve in (slow, quick):
        assert curve[-5:].mean() < curve[:5].mean()


def test_bfloat16_learns_as_float32_on_a_cpu():
    assert_same_curve("cpu", FAST[0])


@needs_gpu
def test_bfloat16_and_cuda_graphs_learn_as_eager_float32():
    assert_same_curve("cuda", *FAST)


@needs_gpu
@pytest.mark.parametrize("fast", [(), FAST], ids=["float32", "fast"])
def test_a_run_on_a_gpu_resumes_and_says_that_it_is_not_bit_for_bit(environment, fast):
    runs = Path(environment["BNREPRO_RUNS"])
    arguments = ("experiment=figure2/bn_x5", "scale=smoke", "scale.imagenet.steps=1600", "device=cuda", *fast)
    process = start(environment, *arguments, "checkpoint_seconds=0.01")
    wait_for_steps(runs, 5, process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130 and "interrupted at step" in out, out
    process = start(environment, *arguments)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and "not bit for bit" in out and "finished" in out, out
    status = json.loads((only_run(runs) / "status.json").read_text())
    assert status["resumed"][0] >= 5 and status["exact_resume"] is False
    assert status["conditions"]["device"].startswith("cuda")


@needs_gpu
def test_the_kernels_of_a_stack_compute_what_pytorch_does():
    """With and without normalisers, ReLUs and sigmoids, in one stack: loss, gradients and moving averages."""
    kinds = ("figure2/bn_x5", "figure2/inception", "figure2/bn_x5_sigmoid", "figure2/inception_sigmoid")
    configs = [config_of(f"experiment={kind}", "scale=smoke", "model.dropout=0", "model.lrn=false") for kind in kinds]
    networks = [build.network(config, [0], torch.device("cpu"), 10) for config in configs]
    torch.manual_seed(0)
    images, labels = torch.randn(4, 3, 32, 32, 32), torch.randint(10, (4, 32))
    found = {}
    for device in ("cpu", "cuda"):
        stack = stack_networks(networks).to(device)
        loss = F.cross_entropy(stack(images.to(device)), labels.to(device))
        names, parameters = zip(*stack.named_parameters(), strict=True)
        gradients = dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
        averages = {name: buffer for name, buffer in stack.named_buffers() if "running" in name}
        found[device] = {name: t.detach().cpu() for name, t in (gradients | averages | {"loss": loss}).items()}
    for name, expected in found["cpu"].items():
        error = (found["cuda"][name] - expected).norm()
        assert error <= 1e-2 * expected.norm() + 1e-6, (name, error)


@needs_gpu
def test_what_is_not_a_number_passes_the_relu_of_a_stack():
    """As in PyTorch: a network that diverged shows it in its loss. The first network has BN, the second has none."""
    configs = [config_of(f"experiment=figure2/{kind}", "scale=smoke") for kind in ("bn_x5", "inception")]
    unit = stack_networks([build.network(config, [0], torch.device("cpu"), 10) for config in configs]).stem.conv1.norm
    unit.bias.data[:, 0] = float("nan")
    x = torch.randn(2, unit.num_features, 32)
    expected = unit(x)
    assert expected[:, 0].isnan().all() and expected[:, 1:].isfinite().all()
    torch.testing.assert_close(unit.cuda()(x.cuda()).cpu(), expected, rtol=1e-3, atol=1e-4, equal_nan=True)
