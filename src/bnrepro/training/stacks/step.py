"""The training step of a stack, which is one CUDA graph on a GPU, and its gradient descent."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.config.seeding import torch_seed
from bnrepro.data.resident import CHUNK
from bnrepro.models.stacked_layers import Convolution, Product
from bnrepro.training.accuracy import loss_with_heads
from bnrepro.training.stacks.run import StackedRun
from bnrepro.training.stacks.streams import Streams

WARM_UP = 3  # steps before a graph is captured; their effects are undone


class Descent:
    """`torch.optim.SGD` with momentum and with L2 on weights alone. Every network has its own rate and L2.

    The parameters of the model, a stack of networks, become views of one tensor.
    """

    def __init__(self, model: nn.Module, l2: list[float], momentum: float):
        self.parameters, self.momentum = dict(model.named_parameters()), momentum
        weights = {id(layer.weight) for layer in model.modules() if isinstance(layer, Convolution | Product)}
        parameters = list(self.parameters.values())
        strengths = torch.tensor(l2, dtype=parameters[0].dtype, device=parameters[0].device)
        networks = torch.arange(len(l2), dtype=torch.int32, device=parameters[0].device)
        # Flat tensors hold all values of all parameters: the number of the network that owns each value, and its L2.
        self.owner = torch.cat([networks.repeat_interleave(p[0].numel()) for p in parameters])
        self.l2 = torch.cat([(strengths * (id(p) in weights)).repeat_interleave(p[0].numel()) for p in parameters])
        self.values = torch.cat([p.detach().flatten() for p in parameters])
        self.velocity = torch.zeros_like(self.values)
        for parameter, values in zip(parameters, self._parts(self.values), strict=True):
            parameter.data = values

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """Return views of a flat tensor in the shapes of the parameters."""
        sizes = [p.numel() for p in self.parameters.values()]
        return [part.view(p.shape) for part, p in zip(flat.split(sizes), self.parameters.values(), strict=True)]

    def step(self, loss: Tensor, rate: Tensor) -> None:
        """Descend the gradient of a loss, which is a sum over networks; ``rate`` is (S,)."""
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        flat.addcmul_(self.values, self.l2)
        self.velocity.mul_(self.momentum).add_(flat)
        self.values.addcmul_(self.velocity, rate.index_select(0, self.owner), value=-1)

    def velocities(self) -> dict[str, Tensor]:
        """Return the momentum buffers (S, ...) by parameter."""
        return dict(zip(self.parameters, self._parts(self.velocity), strict=True))


class StackedStep:
    """Trains all networks of a stack, step by step. The losses and the rates of the steps lie on the device."""

    def __init__(self, model: nn.Module, runs: list[StackedRun]):
        self.model, self.runs = model, runs
        self.aux_weight = runs[0].config.model.aux_weight
        device = runs[0].data.device
        l2, momentum = [run.config.optimizer.l2 for run in runs], runs[0].config.optimizer.momentum
        self.descent = Descent(model, l2, momentum)
        self.streams = Streams([run.data for run in runs], [run.seed_run.seed for run in runs])
        longest = max(look for run in runs for look in run.schedule.evaluation_steps)
        self.rates = torch.zeros(CHUNK, len(runs), device=device)
        self.losses = torch.zeros(longest, len(runs), device=device)
        self.pending = torch.zeros(1, dtype=torch.int64, device=device)  # the number of losses since the last look
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None
        self.graph: torch.cuda.CUDAGraph | None = None

    def capture(self, step: int) -> None:
        """Capture a step as a graph, on a GPU. What the warm-up changes is restored.

        What drops out there is seeded once, here.
        """
        if not self.stream:
            return
        self._seed_dropout(step)
        self._load_chunk(step)
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
        self.graph = graph

    def train(self, step: int, until: int) -> None:
        """Train from ``step`` to ``until``, both in one chunk of steps.

        Without a graph, what drops out is a function of the first network's seed, the step and the place in the stack.
        """
        if self.streams.chunk != step // CHUNK:
            self._load_chunk(step)
        for present in range(step, until):
            if self.graph:
                self.graph.replay()
            else:
                self._seed_dropout(present)
                self._train_one()

    def _seed_dropout(self, step: int) -> None:
        torch.manual_seed(torch_seed(self.runs[0].seed_run.seed, "dropout", step))

    def _train_one(self) -> None:
        rate = self.rates.index_select(0, self.streams.step)[0]
        images, labels = self.streams.batch()
        loss = loss_with_heads(
            self.model(images),
            self.aux_weight,
            lambda logits: F.cross_entropy(logits, labels, reduction="none").mean(1),
        )
        self.descent.step(loss.sum(), rate)
        self.losses.index_copy_(0, self.pending, loss.detach()[None])
        self.pending.add_(1)
        self.streams.step.add_(1)

    def _load_chunk(self, step: int) -> None:
        """Load the batches and the rates of the chunk of steps that the next step belongs to."""
        chunk, position = divmod(step, CHUNK)
        self.streams.load(chunk)
        self.streams.step.fill_(position)
        steps = range(chunk * CHUNK, (chunk + 1) * CHUNK)
        rates = torch.tensor([[0.0 if run.has_ended else run.rate(step) for run in self.runs] for step in steps])
        self.rates.copy_(rates.pin_memory() if self.stream else rates, non_blocking=True)

    def take_losses(self) -> tuple[Tensor, list[bool]]:
        """Fetch the losses since the last call, (steps, S), and whether each network's parameters are finite."""
        losses = self.losses[: int(self.pending)].cpu()
        self.pending.zero_()
        finite = [torch.isfinite(parameter.flatten(1)).all(1) for parameter in self.model.parameters()]
        return losses, torch.stack(finite).all(0).tolist()
