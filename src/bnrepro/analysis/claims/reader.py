"""What the notebook of claims shows: arms of records to draw, verdicts, and the growth of gradients."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bnrepro.analysis.claims import ledger, series, table
from bnrepro.analysis.claims.arms import Records
from bnrepro.analysis.claims.definitions import load_experiments
from bnrepro.analysis.claims.drawings import ABSENT, Drawn, Effect, panel
from bnrepro.analysis.claims.measures import Spec
from bnrepro.analysis.claims.series import FINAL, FIRST, Arm
from bnrepro.analysis.reading.curves import accuracies
from bnrepro.analysis.render.style import WITH, WITHOUT, X30
from bnrepro.analysis.render.table import Table
from bnrepro.records.files import read_json

RESULTS, DEFINITIONS = Path("results"), Path("configs/claims")
NONE, BN = {"norm.name": "none"}, {"norm.name": "bn"}
Keys = dict[str, Any]


class Reader:
    """The claims, judged on the records of a source at a scale.

    ``rows`` is the ledger by claim, ``records`` the records by experiment, and ``exact`` the numbers of the exact
    claims.
    """

    def __init__(self, source: str, scale: str):
        self.rows = {row["id"]: row for row in ledger.build(RESULTS, DEFINITIONS, source, scale).rows}
        self.records = Records(source, load_experiments(DEFINITIONS, scale))
        self.exact = read_json(RESULTS / ledger.IDENTITIES)["numbers"]

    def verdicts(self, *claims: str) -> str:
        """Tabulate what the ledger says of these claims."""
        return str(Table(table.HEAD, [table.cells(self.rows[claim]) for claim in claims]))

    def arm(
        self, label: str, colour: str, experiment: str, keys: Keys, varied: tuple[str, ...] = (), line: str = "-"
    ) -> Arm:
        """Return the records of an experiment whose configurations have these values, and how they are drawn."""
        return Arm(label, self.records.arm(experiment, keys, varied), colour, line)

    def pair(self, experiment: str, keys: Keys, varied: tuple[str, ...] = ()) -> list[Arm]:
        """Return two arms, with BN and without it."""
        with_bn = self.arm("with BN", WITH, experiment, keys | BN, varied)
        return [with_bn, self.arm("without BN", WITHOUT, experiment, keys | NONE, varied)]

    def with_noise(self, experiment: str, keys: Keys) -> list[Arm]:
        """Return three arms: BN, no normaliser, and BN with noise."""
        noisy = self.arm("noisy BN", X30, experiment, keys | {"norm.name": "noisy_bn"}, line="--")
        return [*self.pair(experiment, keys), noisy]

    def gain(self, experiment: str, keys: Keys, over: Keys) -> Effect:
        """Return the final accuracy of the arm with these keys minus that of the arm with the keys ``over``."""
        return series.differences(self.records.arm(experiment, keys), self.records.arm(experiment, over), FINAL)


def by(key: str, arms: list[Arm], measure: Spec = FINAL) -> Drawn:
    """Return a line for each arm: a measure, usually the final accuracy, over the values of a key."""
    return [(arm, series.ladder(arm.records, key, measure)) for arm in arms]


def accuracy(axes: Axes, network: str, arms: list[Arm]) -> None:
    """Draw accuracy over the steps, with a line for each arm."""
    panel(axes, f"{network}: accuracy", [(arm, accuracies(arm.records)) for arm in arms], "steps", ylim=(0, None))


def in_points(effect: Effect) -> str:
    """Return a difference of accuracies, with its interval and the number of seeds."""
    values, gain = effect
    if not len(values):
        return ABSENT
    return f"{100 * gain.mean:.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}] points (n = {len(values)})"


def growth_of_gradients(networks: dict[str, list[Arm]]) -> str:
    """Tabulate the factor by which gradients change per layer on their way down, at the first step.

    Args:
        networks: arms with BN and without, for each nonlinearity, ``sigmoid`` and ``ReLU``; others are left out.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()  # E[f(x)] of a standard normal x is weights @ f(points)
    sigmoid = 1 / (1 + np.exp(-points))
    variance = weights @ sigmoid**2 - (weights @ sigmoid) ** 2
    slope = weights @ (sigmoid * (1 - sigmoid)) ** 2
    predicted = {"sigmoid": math.sqrt(slope / variance), "ReLU": math.sqrt(math.pi / (math.pi - 1))}
    head = ["factor of the gradient per layer, first step", "with BN", "without BN", "with BN, predicted"]
    rows = [[name, *map(_factor, networks[name]), f"{predicted[name]:.3f}"] for name in predicted]
    return str(Table(head, rows))


def _factor(arm: Arm) -> str:
    sizes = series.by_layer(arm.records, "gradients/input_rms", FIRST)
    if sizes.empty:
        return ABSENT
    return f"{((sizes.iloc[0] / sizes.iloc[-1]) ** (1 / (len(sizes) - 1))).mean():.3f}"
