"""Which runs can be in one stack, and the data sets that they share."""

from dataclasses import replace
from typing import NamedTuple

from bnrepro.config.schema import Config
from bnrepro.data import load
from bnrepro.data.parts import Encoded
from bnrepro.data.resident import ResidentImages
from bnrepro.errors import UserError
from bnrepro.training import build
from bnrepro.training.validation import DIGITS


class StackKey(NamedTuple):
    """What runs of one stack have in common, and how they normalise (empty for runs without normalisers)."""

    shared: str
    norm: str


def stack_key(config: Config) -> StackKey:
    """Runs of equal kind can be in one stack. A run without normalisers can be in any stack that shares the rest.

    A run that cannot be in any stack is refused with a `UserError`.
    """
    model, norm, training = config.model, config.norm, config.training
    unusual_norm = norm.name not in ("none", "bn") or norm.placement != "before" or not norm.affine
    refused = {
        "networks of the digits": model.name in DIGITS,
        "other optimisers than SGD": config.optimizer.name != "sgd",
        "curves of population statistics": config.evaluation.statistics != "moving_average",
        "bfloat16": training.precision == "bfloat16",
        "compiled networks": training.compile != "none",
        "replicas": training.replicas > 1,
        "instruments": config.probe.instruments,
        "normalisers other than bn before the nonlinearity": unusual_norm,
        "other nonlinearities than ReLU and sigmoid": model.nonlinearity not in ("relu", "sigmoid"),
    }
    if reasons := [reason for reason, applies in refused.items() if applies]:
        raise UserError(f"hydra/launcher=gpu_stacks does not train {reasons[0]}; use hydra/launcher=joblib")
    # The splits of a data set differ in the length of an epoch, which Alg. 2 over whole epochs takes for all networks.
    split = "" if config.evaluation.population_batches else config.data.split
    # A per-activation normaliser has one value per position where a bias has one per channel, hence ``norm.last``.
    shared = (
        config.device,
        replace(model, dropout=0.0, lrn=False, lrn_alpha=0.0, nonlinearity=""),
        replace(config.data, shuffle="", split=split),
        (config.optimizer.momentum, training.batch_size, training.precision, config.evaluation.population_batches),
        norm.last,
    )
    return StackKey(repr(shared), "" if norm.name == "none" else repr(norm))


class DataSets:
    """The data sets of runs. Each is loaded once, and those that differ in order or distortions share their images."""

    def __init__(self) -> None:
        self._sets: dict[str, ResidentImages] = {}
        self._images: dict[str, tuple[tuple, ResidentImages]] = {}  # what was read from disk, and a set that has it

    def of(self, config: Config) -> ResidentImages:
        """Return the data set of a run."""
        key = repr((config.data, config.augment, config.training.batch_size, config.device))
        if key not in self._sets:
            images = repr(replace(config.data, shuffle=""))
            parts = self._images[images][0] if images in self._images else load.parts(config.data)
            if isinstance(parts[0], Encoded):
                raise UserError("hydra/launcher=gpu_stacks needs images that fit into memory; use joblib")
            data_set = self._sets[key] = load.batches(config, parts, build.device(config))
            _, first = self._images.setdefault(images, (parts, data_set))
            data_set.train_images, data_set.train_labels = first.train_images, first.train_labels
            data_set.eval_images, data_set.eval_labels = first.eval_images, first.eval_labels
        return self._sets[key]
