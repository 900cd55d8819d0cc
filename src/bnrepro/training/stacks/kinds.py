"""Which runs can be in one stack, and the data sets that they share."""

from dataclasses import replace
from typing import NamedTuple

from bnrepro.config.schema import Config, Training
from bnrepro.data import load
from bnrepro.data.parts import Encoded
from bnrepro.data.resident import ResidentImages
from bnrepro.errors import UserError
from bnrepro.training import build
from bnrepro.training.validation import DIGITS


class Kind(NamedTuple):
    """What runs of one stack have in common, and how they normalise (empty for runs without normalisers)."""

    shared: str
    norm: str


def kind(config: Config) -> Kind:
    """Runs of equal kind can be in one stack. A run without normalisers can be in any stack that shares the rest.

    Raises:
        UserError: The run cannot be in any stack.
    """
    model, norm, training = config.model, config.norm, config.training
    moving_average = config.evaluation.statistics == "moving_average"
    unusual_norm = norm.name not in ("none", "bn") or norm.placement != "before" or not norm.affine
    one_process = (training.compile, training.replicas) == ("none", Training().replicas)
    refused = {
        "networks of the digits": model.name in DIGITS,
        "other optimisers than SGD, or curves of population statistics": config.optimizer.name != "sgd"
        or not moving_average,
        "bfloat16, compiled networks, or replicas": training.precision == "bfloat16" or not one_process,
        "instruments": config.probe.instruments,
        "normalisers other than bn before the nonlinearity": unusual_norm,
        "other nonlinearities than ReLU and sigmoid": model.nonlinearity not in ("relu", "sigmoid"),
    }
    for reason, applies in refused.items():
        if applies:
            raise UserError(f"hydra/launcher=gpu_stacks does not train {reason}; use hydra/launcher=joblib")
    # A per-activation normaliser has one value per position where a bias has one per channel, hence ``norm.last``.
    shared = (
        config.device,
        replace(model, dropout=0.0, lrn=False, lrn_alpha=0.0, nonlinearity=""),
        replace(config.data, shuffle="", split=""),
        (config.optimizer.momentum, training.batch_size, training.precision, config.evaluation.population_batches),
        norm.last,
    )
    return Kind(repr(shared), "" if norm.name == "none" else repr(norm))


class DataSets:
    """The data sets of runs. Each is loaded once, and those that differ in order or distortions share their images."""

    def __init__(self) -> None:
        self._sets: dict[str, ResidentImages] = {}
        self._parts: dict[str, tuple] = {}  # what was read from disk, by images
        self._first: dict[str, ResidentImages] = {}  # the set whose images the others share, by images

    def of(self, config: Config) -> ResidentImages:
        """Return the data set of a run."""
        key = repr((config.data, config.augment, config.training.batch_size, config.device))
        if key not in self._sets:
            images = repr(replace(config.data, shuffle=""))
            if images not in self._parts:
                self._parts[images] = load.parts(config.data)
            if isinstance(self._parts[images][0], Encoded):
                raise UserError("hydra/launcher=gpu_stacks needs images that fit into memory; use joblib")
            own = self._sets[key] = load.batches(config, self._parts[images], build.device(config))
            first = self._first.setdefault(images, own)
            own.train_images, own.train_labels = first.train_images, first.train_labels
            own.eval_images, own.eval_labels = first.eval_images, first.eval_labels
        return self._sets[key]
