"""Which runs can be in one stack, and the data sets that they share."""

from dataclasses import replace
from typing import NamedTuple

from bnrepro.config.schema import Config, Training
from bnrepro.data import load
from bnrepro.data.encoded import Encoded
from bnrepro.data.resident import ResidentImages
from bnrepro.errors import UserError
from bnrepro.training import build
from bnrepro.training.validation import DIGITS


class Kind(NamedTuple):
    """Of runs that can be in one stack: what they share, and how those that normalise do it (empty for the others)."""

    shared: str
    norm: str


def kind(config: Config) -> Kind:
    """Runs of equal kind can be in one stack, and those without normalisers in any that shares the rest.

    Raises:
        UserError: the run cannot be in any.
    """
    training = config.training
    reason = ""
    if config.model.name in DIGITS or config.model.aux:
        reason = "networks of the digits, or auxiliary heads"
    elif config.optimizer.name != "sgd" or config.evaluation.statistics != "moving_average":
        reason = "other optimisers than SGD, or curves of population statistics"
    elif training.precision == "bfloat16" or (training.compile, training.replicas) != ("none", Training().replicas):
        reason = "bfloat16, compiled networks, or replicas"
    elif config.probe.instruments:
        reason = "instruments"
    elif config.norm.name not in ("none", "bn") or config.norm.placement != "before" or not config.norm.affine:
        reason = "normalisers other than bn before the nonlinearity"
    elif config.model.nonlinearity not in ("relu", "sigmoid"):
        reason = "other nonlinearities than ReLU and sigmoid"
    if reason:
        raise UserError(f"hydra/launcher=gpu_stacks does not train {reason}; use hydra/launcher=joblib")
    model = replace(config.model, dropout=0.0, lrn=False, lrn_alpha=0.0, nonlinearity="")
    data = replace(config.data, shuffle="", split="")
    own = config.optimizer.momentum, training.batch_size, training.precision, config.evaluation.population_batches
    last = config.norm.last  # of per-activation normalisers there is one a position, of biases one a channel
    norm = "" if config.norm.name == "none" else repr(config.norm)
    return Kind(repr((config.device, model, data, own, last)), norm)


class DataSets:
    """The data sets of runs, each kept once."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple] = {}
        self._sets: dict[str, ResidentImages] = {}
        self._first: dict[str, ResidentImages] = {}  # of those that share their images

    def of(self, config: Config) -> ResidentImages:
        """A run's data set; those that differ in order or distortions alone share their images."""
        key = repr((config.data, config.augment, config.training.batch_size, config.device))
        if key not in self._sets:
            images = repr(replace(config.data, shuffle=""))
            if images not in self._parts:
                self._parts[images] = load.parts(config.data)
            if isinstance(self._parts[images][0], Encoded):
                raise UserError("hydra/launcher=gpu_stacks needs images that fit into memory; use joblib")
            made = self._sets[key] = load.batches(config, self._parts[images], build.device(config))
            first = self._first.setdefault(images, made)
            made.train_images, made.train_labels = first.train_images, first.train_labels
            made.eval_images, made.eval_labels = first.eval_images, first.eval_labels
        return self._sets[key]
