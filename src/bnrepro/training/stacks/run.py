"""One run of a stack: its network, its schedule, its curve, its probe and its record."""

import pickle
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.config.schema import Config
from bnrepro.data import load
from bnrepro.data.resident import ResidentImages
from bnrepro.models.stacked_images import stacked_name
from bnrepro.probes.percentiles import PercentileProbe
from bnrepro.training import build
from bnrepro.training.loop import make_row
from bnrepro.training.recorder import Recorder, SeedRun
from bnrepro.training.schedule import Schedule
from bnrepro.training.sgd import decayed

State = dict[str, Tensor]


class StackedRun:
    """A locked run with what it does not share with the others of its stack."""

    def __init__(self, config: Config, command: str, seed_run: SeedRun, data: ResidentImages):
        self.config, self.command, self.seed_run, self.data = config, command, seed_run, data
        self.schedule, self.rate = Schedule(config, data.classes, data.held_out), build.rate(config)
        self.network = build.network(config, [seed_run.seed], torch.device("cpu"), data.classes)
        probe_steps = self.schedule.probe_steps
        self.probe = PercentileProbe(self.network, self.network, [], probe_steps) if probe_steps else None
        self.measurements: list[tuple[int, Future]] = []  # of the probe, by step
        self.losses: list[Tensor] = []  # since the last row
        self.has_ended = False  # whether the run has finished or diverged
        self.recorder: Recorder | None = None  # made once the stack knows the conditions

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what a checkpoint holds of the run beside its network."""
        self.losses, self.seed_run.diverged_at = [state["losses"]], state["diverged_at"]
        if self.probe:
            self.probe.restore([state["probe"][0]])

    def momentum_slots(self, stacked: dict[str, nn.Parameter]) -> dict[str, str]:
        """Return, for each entry of the optimiser's state of a run alone, its parameter's name in the stack."""
        names = {id(parameter): stacked_name(name, stacked) for name, parameter in self.network.named_parameters()}
        in_order = [p for group in decayed(self.network, self.config.optimizer.l2) for p in group["params"]]
        return {f"{index}.momentum_buffer": names[id(p)] for index, p in enumerate(in_order)}

    def add_losses(self, losses: Tensor, parameters_finite: bool, step: int) -> None:
        """Add the losses (n,) of the n steps up to ``step``, and note whether the network has diverged.

        Non-finite parameters count only at the run's own looks (`Member.check`).
        """
        if not self.has_ended and self.seed_run.diverged_at is None:
            self.losses.append(losses)
            at_look = step in self.schedule.evaluation_steps
            self.seed_run.check(losses, parameters_finite or not at_look, step)

    def add_row(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """Add an evaluation after ``step`` steps to the curve."""
        train_loss = torch.cat(self.losses).mean().item()
        self.losses = []
        columns = {f"{self.schedule.prefix}/{name}": value for name, value in values.items()}
        row = make_row(step, step / self.data.steps_per_epoch, seconds, self.rate(step - 1), train_loss, columns)
        self.seed_run.rows.append(row)

    def measure(self, step: int, state: State, batches: list[np.ndarray], processors: Executor) -> None:
        """Have a processor measure inside the network, whose state is given, while training goes on."""
        self.network.load_state_dict(state)
        self.measurements.append((step, processors.submit(_percentiles, pickle.dumps(self.network), batches, step)))

    def save(self, state: dict[str, Any], final: dict[str, float] | None = None) -> None:
        """Save the run. A run that has its final results, or has diverged, has ended.

        ``state`` is the part of the checkpoint that the stack knows.
        """
        run = self.seed_run
        state |= {"rows": len(run.rows), "diverged_at": run.diverged_at}
        state["losses"] = torch.cat(self.losses) if self.losses else torch.zeros(0)
        if final:
            state["classes"] = load.classes(self.config.data)
        arrays = {}
        if self.probe:
            for step, future in self.measurements:
                self.probe.add(step, {view: torch.from_numpy(values) for view, values in future.result().items()})
            self.measurements = []
            state["probe"] = [self.probe.state(0)]
            arrays = self.probe.record(0)
        self.recorder.save(state, arrays, final)
        self.has_ended = final is not None or run.diverged_at is not None
        if self.has_ended:
            run.outcome = self.recorder.outcome()
            print(run.outcome.message, flush=True)


def _percentiles(pickled_network: bytes, batches: list[np.ndarray], step: int) -> dict[str, np.ndarray]:
    """Return the values of `PercentileProbe` at one step by view. This runs in a process of its own."""
    torch.set_num_threads(1)
    network = pickle.loads(pickled_network)
    probe = PercentileProbe(network, network, [torch.from_numpy(batch) for batch in batches], [step])
    return {view: values.numpy() for view, values in probe.look(step).items()}
