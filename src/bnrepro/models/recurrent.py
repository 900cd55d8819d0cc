"""A recurrent network that reads a digit row by row, for what Sec. 5 leaves to future work."""

from collections.abc import Callable

from torch import Tensor, nn

from bnrepro.models.convolution import NONLINEARITIES
from bnrepro.models.placement import complete, needs_bias


class RNN(nn.Module):
    """Elman's network: h_t = g(W x_t + U h_{t-1} (+ b)) from h_0 = 0; a linear layer on the last h gives the logits.

    All time steps share W and U. Each time step has a normaliser of its own, with its own statistics, gamma and beta
    (our choice: the paper says only that BN should help). ``steps`` are the rows of an image, ``features`` those
    of h. ``build_norm`` builds a normaliser for a number of features, or None.
    """

    stack = 1

    def __init__(
        self,
        steps: int,
        features: int,
        classes: int,
        build_norm: Callable[[int], nn.Module | None],
        nonlinearity: str = "sigmoid",
        placement: str = "before",
    ):
        super().__init__()
        norms = [build_norm(features) for _ in range(steps)]
        self.steps = steps
        self.row = nn.Linear(steps, features, bias=needs_bias(norms[0], placement))
        self.state = nn.Linear(features, features, bias=False)
        self.times = nn.ModuleList(nn.Sequential() for _ in range(steps))
        for time, norm in zip(self.times, norms, strict=True):
            complete(time, norm, NONLINEARITIES[nonlinearity](), placement)
        self.output = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (1, N, steps * steps) -> logits (1, classes, N)."""
        rows = self.row(images[0].unflatten(1, (self.steps, self.steps)))
        state = None
        for k, time in enumerate(self.times):
            state = time(rows[:, k] if state is None else rows[:, k] + self.state(state))
        return self.output(state).T[None]
