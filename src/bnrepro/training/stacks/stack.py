"""A stack of runs that stand at the same step: trained by CUDA graphs, evaluated together, each with its own record."""

import time
from concurrent.futures import Executor
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.config.seeding import torch_seed
from bnrepro.data import load
from bnrepro.data.resident import CHUNK
from bnrepro.models.stacked_images import own_state, stack_networks, stacked_name
from bnrepro.records.provenance import now
from bnrepro.tracking import mirrored
from bnrepro.training import build
from bnrepro.training.population import batch_norms, moving_average
from bnrepro.training.recorder import Recorder
from bnrepro.training.sgd import decayed
from bnrepro.training.stacks.descent import Descent
from bnrepro.training.stacks.evaluation import evaluated, evaluated_by_population
from bnrepro.training.stacks.inside import measured
from bnrepro.training.stacks.run import StackedRun
from bnrepro.training.stacks.streams import Streams

WARM_UP = 3  # steps before a graph is captured, whose effects are undone


class Stack:
    """Networks of one shape; they may differ in weights, data, rates, L2, dropout, and how many steps they train for.

    Args:
        runs: of one kind (`bnrepro.training.stacks.kinds`), locked, and at the same step.
        processors: measure inside the networks.
    """

    def __init__(self, runs: list[StackedRun], processors: Executor):
        self.runs, self.processors = runs, processors
        config = runs[0].config
        self.device = runs[0].data.device
        self.model = stack_networks([run.network for run in runs]).to(self.device).train()
        self.descent = Descent(self.model, [run.config.optimizer.l2 for run in runs], config.optimizer.momentum)
        self.streams = Streams([run.data for run in runs], [run.member.seed for run in runs])
        self.rates = torch.zeros(CHUNK, len(runs), device=self.device)
        self.step = runs[0].seed_run.step()
        self.last_step = max(run.steps for run in runs)
        self.looks = sorted(set().union(*(run.looks for run in runs)))
        self.losses = torch.zeros(max(self.looks), len(runs), device=self.device)
        self.pending = torch.zeros(1, dtype=torch.int64, device=self.device)  # losses since the last look
        self.probe_batches: dict[int, list] = {}
        self._kept: tuple = (None, None)  # of which step the latest snapshot is, and the snapshot
        self.seconds = 0.0
        self._restore([run.seed_run.checkpoint for run in runs])
        self.stream = torch.cuda.Stream() if self.device.type == "cuda" else None
        self.graph = self._captured() if self.stream else None
        conditions = build.conditions(self.device) | {"stack": len(runs)}
        for run in runs:
            run.recorder = Recorder(run.config, run.command, run.seed_run, run.member, conditions, len(runs))
        for run in runs:
            if run.member.diverged_at is not None:
                self._save(run)
        self.began = self.saved = time.monotonic()
        self.began -= self.seconds

    def _restore(self, states: list[dict[str, Any] | None]) -> None:
        """Take up the checkpoints, of which all runs have one, or none has."""
        torch.manual_seed(torch_seed(self.runs[0].member.seed, "dropout", self.step))
        if not all(states):
            return
        self.seconds = max(state["seconds"] for state in states)
        whole = self.model.state_dict()
        with torch.no_grad():
            for k, (run, state) in enumerate(zip(self.runs, states, strict=True)):
                run.restore(state)
                for name, own in state["model"].items():
                    values = whole[stacked_name(name, whole)]
                    (values if values.dim() == 0 else values[k]).copy_(own)
                velocities = self.descent.velocities()
                for slot, name in self._slots(run).items():
                    velocities[name][k].copy_(state["optimizer"][slot])

    def _slots(self, run: StackedRun) -> dict[str, str]:
        """The parameter here of each entry of the optimiser's state, as it would be if the run trained alone."""
        here = self.descent.parameters
        names = {id(parameter): stacked_name(name, here) for name, parameter in run.network.named_parameters()}
        in_order = [p for group in decayed(run.network, run.config.optimizer.l2) for p in group["params"]]
        return {f"{index}.momentum_buffer": names[id(p)] for index, p in enumerate(in_order)}

    # Training

    def _train_one(self) -> None:
        rate = self.rates.index_select(0, self.streams.step)[0]
        images, labels = self.streams.batch()
        loss = F.cross_entropy(self.model(images), labels, reduction="none").mean(1)
        self.descent.step(loss.sum(), rate)
        self.losses.index_copy_(0, self.pending, loss.detach()[None])
        self.pending.add_(1)
        self.streams.step.add_(1)

    def _captured(self) -> torch.cuda.CUDAGraph:
        """A step as a graph. What is changed on the way to it is put back."""
        self._load_chunk()
        changing = [self.descent.values, self.descent.velocity, self.pending, self.streams.step, *self.model.buffers()]
        before = [values.clone() for values in changing]
        graph = torch.cuda.CUDAGraph()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                self._train_one()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            self._train_one()
        for values, earlier in zip(changing, before, strict=True):
            values.copy_(earlier)
        torch.cuda.synchronize()
        return graph

    def _load_chunk(self) -> None:
        """The batches and rates of the chunk of steps that the next step belongs to."""
        chunk, position = divmod(self.step, CHUNK)
        self.streams.load(chunk)
        self.streams.step.fill_(position)
        steps = range(chunk * CHUNK, (chunk + 1) * CHUNK)
        rates = torch.tensor([[0.0 if run.over else run.rate(step) for run in self.runs] for step in steps])
        self.rates.copy_(rates.pin_memory() if self.stream else rates, non_blocking=True)

    def advance(self) -> None:
        """Train to the next evaluation or the end of the chunk, whichever comes first, and evaluate there."""
        if self.stream:
            with torch.cuda.stream(self.stream):
                self._advance()
        else:
            self._advance()

    def _advance(self) -> None:
        if self.streams.chunk != self.step // CHUNK:
            self._load_chunk()
        next_look = next(look for look in self.looks if look > self.step)
        until = min(next_look, (self.step // CHUNK + 1) * CHUNK)
        for _ in range(until - self.step):
            self.graph.replay() if self.graph else self._train_one()
        self.step = until
        if self.step == next_look:
            self._look()

    def is_over(self) -> bool:
        """Whether all runs have ended."""
        return all(run.over for run in self.runs)

    # Evaluation

    def _look(self) -> None:
        self._take_losses()
        self.seconds = time.monotonic() - self.began
        for run in self.runs:
            if not run.over and run.member.diverged_at is not None:
                self._save(run)
        looking = [k for k, run in enumerate(self.runs) if not run.over and self.step in run.looks]
        ending = [k for k in looking if self.runs[k].ends_at(self.step)]
        with moving_average(self.model):
            averaged = evaluated(self.model, self.runs)
        for k in looking:
            self._measure_inside(self.runs[k], k)
            self.runs[k].add_row(self.step, self.seconds, averaged[k])
        if ending:
            by_population, statistics = evaluated_by_population(self.model, self.runs)
        for k in ending:
            run = self.runs[k]
            own, names = averaged[k], []
            if batch_norms(run.network):
                moving = {f"{name}_moving_average": value for name, value in averaged[k].items()}
                own, names = by_population[k] | moving, run.network.state_dict().keys() & statistics.keys()
            run.final = {f"{run.prefix}/{name}": value for name, value in own.items()}
            self._save(run, own_state(statistics, k, names))
        if time.monotonic() - self.saved > self.runs[0].config.checkpoint_seconds:
            self.save()

    def _take_losses(self) -> None:
        """Fetch the losses since the last look, and note who has diverged."""
        losses = self.losses[: int(self.pending)].cpu()
        self.pending.zero_()
        finite = [torch.isfinite(p.flatten(1)).all(1) for p in self.model.parameters()]
        sound = torch.stack(finite).all(0).tolist()
        for k, run in enumerate(self.runs):
            if run.over or run.member.diverged_at is not None:
                continue
            own = losses[:, k].clone()
            run.losses.append(own)
            if not own.isfinite().all():
                run.member.diverged_at = self.step - len(own) + int((~own.isfinite()).int().argmax()) + 1
            elif not sound[k]:
                run.member.diverged_at = self.step

    def _measure_inside(self, run: StackedRun, k: int) -> None:
        if self.step not in run.probe_steps or self.step in run.probe.taken:
            return
        if id(run.data) not in self.probe_batches:
            batches = run.data.fixed_batches(run.config.probe.batches, "probe")
            self.probe_batches[id(run.data)] = [batch.cpu().numpy() for batch in batches]
        state = {
            name: values.numpy() for name, values in own_state(self._snapshot()[0], k, run.network.state_dict()).items()
        }
        task = run.config, run.data.classes, state, self.probe_batches[id(run.data)], self.step
        run.measured.append((self.step, self.processors.submit(measured, *task)))

    # Records

    def close(self) -> None:
        """End what works ahead, and the mirrors in W&B."""
        self.streams.close()
        for run in self.runs:
            run.recorder.mirror.close(mirrored.end(run.recorder.directory, 0 if run.over else 1))

    def save(self) -> None:
        """Save every run that is not over."""
        if self.is_over():
            return
        if self.stream:
            self.stream.synchronize()
        self._take_losses()
        self.seconds = time.monotonic() - self.began
        for run in self.runs:
            if not run.over:
                self._save(run)
        self.saved = time.monotonic()

    def _snapshot(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The state of the model and of the descent as they are after this step, on the CPU."""
        if self._kept[0] != self.step:
            state, velocities = self.model.state_dict(), self.descent.velocities()
            on_cpu = [{name: t.detach().cpu() for name, t in part.items()} for part in (state, velocities)]
            self._kept = self.step, tuple(on_cpu)
        return self._kept[1]

    def _save(self, run: StackedRun, statistics: dict[str, Tensor] | None = None) -> None:
        """Save a run. One that has its final values, or has diverged, is over."""
        k = self.runs.index(run)
        model, velocities = self._snapshot()
        losses = torch.cat(run.losses) if run.losses else torch.zeros(0)
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "rows": len(run.member.rows),
            "diverged_at": run.member.diverged_at,
            "model": own_state(model, k, run.network.state_dict()),
            "optimizer": {slot: velocities[name][k].clone() for slot, name in self._slots(run).items()},
            "losses": losses,
        }
        ending: dict[str, Any] = {}
        if run.member.diverged_at is not None:
            ending = {"state": "diverged", "diverged_at": run.member.diverged_at, "ended": now()}
        elif run.final:
            ending = {"state": "finished", "final": run.final, "ended": now()}
            ending |= {"stopped": "at chance"} if self.step < run.steps else {}
            state["statistics"] = statistics
            state["classes"] = load.classes(run.config.data)
        run.over = bool(ending)
        probes = {}
        if run.probe:
            run.collect()
            state["probe"] = [run.probe.state(0)]
            probes = run.probe.record(0)
        run.recorder.save(state, probes, ending)
        if run.over:
            run.seed_run.outcome = run.recorder.outcome()
            print(run.seed_run.outcome.message, flush=True)

    def line(self) -> str:
        """How far the stack is."""
        left = [run for run in self.runs if not run.over]
        rows = [run.member.rows[-1] for run in left if run.member.rows]
        best = max((v for row in rows for name, v in row.items() if name.endswith("/top1")), default=0)
        speed = self.step / max(self.seconds, 1e-9)
        steps = f"step {self.step:,} of {self.last_step:,}"
        return f"stack of {len(self.runs)}: {steps}, best top-1 {best:.4f}, {speed:.0f} steps/s"
