"""What only a GPU can show: that the fast settings learn as float32 does, and that a run there resumes and says how."""

import json
import signal
from pathlib import Path

import pytest
import torch

from bnrepro.benchmarks import curves
from launches import only_run, start, wait_for_steps

FAST = ("training.precision=bfloat16", "training.compile=reduce-overhead")  # channels_last is how every run is
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def assert_same_curve(device: str, mode: str) -> None:
    """The fast setting begins where float32 does, then differs from it no more than another seed; and both learn."""
    found = curves.compared(torch.device(device), "bfloat16", mode)
    quick, slow, other = map(torch.tensor, found.values())
    noise = (slow - other).square().mean().sqrt()
    assert curves.ratio(found) < curves.WITHIN, found
    assert abs(quick[0] - slow[0]) < noise / 2 and abs((quick - slow).mean()) < noise, found
    for curve in (slow, quick):
        assert curve[-5:].mean() < curve[:5].mean()


def test_bfloat16_learns_as_float32_on_a_cpu():
    assert_same_curve("cpu", "none")


@needs_gpu
def test_bfloat16_and_cuda_graphs_learn_as_eager_float32():
    assert_same_curve("cuda", "reduce-overhead")


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
