"""Whether a fast setting learns as float32 does: the loss of the first steps, beside what another seed makes of it.

Closer than a seed it cannot stay: a deep network at its beginning makes as much of a change of 0.1 % in its weights
within a few steps, in float32 too.
"""

import torch
from torch import Tensor

from bnrepro import build
from bnrepro.benchmarks.steps import Setting, configuration
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.loop import Member, Trainer

STEPS = 20
WITHIN = 1.5  # times a seed's noise: over so few steps two draws of the same spread differ by less
LEARNING = ("schedule.name=constant", "training.batch_size=128")  # at smoke scale 20 steps of 32 learn nothing
WHAT = f"loss of {STEPS} steps, bn_inception, smoke"


def losses(on: torch.device, seed: int, *overrides: str) -> Tensor:
    """The loss of each of the first steps of BN-x5 at smoke scale, (STEPS,)."""
    config = configuration("figure2/bn_x5", "smoke", *LEARNING, f"device={on}", *overrides)
    build.device(config)
    task = build.task(config, build.dataset(config, on), [seed], on)
    optimizer = build.optimizer(config, task.model)
    trainer = Trainer(task, optimizer, [Member(seed)], STEPS, build.rate(config), {STEPS}, lambda step: [{}])
    trainer.train(StopRequest())
    return trainer.losses[:STEPS, 0].cpu()


def compared(on: torch.device, precision: str, mode: str) -> dict[str, list[float]]:
    """The curves of a precision and a mode of compilation, of float32, and of another seed there, (STEPS,) each.

    Raises:
        NeedsGPU: the setting means nothing on this device.
        FloatingPointError: one of them diverges.
    """
    Setting(precision=precision, compile=mode).check(on)
    found = {
        f"{precision}, {mode}": losses(on, 0, f"training.precision={precision}", f"training.compile={mode}"),
        "float32": losses(on, 0),
        "float32, another seed": losses(on, 1),
    }
    for name, curve in found.items():
        if not curve.isfinite().all():
            raise FloatingPointError(f"the loss of {name} is not finite")
    return {name: curve.tolist() for name, curve in found.items()}


def ratio(curves: dict[str, list[float]]) -> float:
    """The fast curve's root mean square difference from float32's, over that of another seed."""
    fast, slow, other = map(torch.tensor, curves.values())
    return ((fast - slow).square().mean() / (other - slow).square().mean()).sqrt().item()
