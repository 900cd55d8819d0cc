"""Checks that the values of a configuration fit together, before anything is trained."""

from collections.abc import Iterator
from itertools import chain

from omegaconf import DictConfig

from bnrepro.config.schema import Config, Model, Norm, Training
from bnrepro.config.values import check_device, check_name, structured
from bnrepro.errors import UserError
from bnrepro.layers import norm_options

OF_IMAGES = ("figure2", "figure2_tuning", "figure4", "googlenet_tuning")  # figures of Inception and GoogLeNet
DIGITS = ("mlp", "rnn")  # networks of the binary digits of Sec. 4.1
# Every normaliser has these keys; the others are options of some normalisers.
SHARED_NORM_KEYS = ("name", "eps", "ema_decay", "affine", "placement", "sync", "last")
TRAINING_DIGITS = {"full": 60_000, "tune": 50_000}  # by data.split


def typed(composed: DictConfig) -> Config:
    """Return the composed Hydra configuration as typed objects, resolved and checked."""
    config = structured(Config, composed)
    check_device(config.device)
    if config.experiment:  # every experiment names its variant and its figure
        check_name("variant", config.variant)
        for part in config.figure.split("/"):
            check_name("figure", part)
    check_name("scale.name", config.scale["name"])
    for message in chain(_contradictions(config), _options_without_effect(config), _too_many_batches(config)):
        raise UserError(f"configuration: {message}")
    return config


def _contradictions(config: Config) -> Iterator[str]:
    """Messages on values that exclude each other."""
    name, hidden = config.model.name, config.model.hidden
    if name in DIGITS and config.data.name != "mnist":
        yield f"model={name} is for MNIST; data.name={config.data.name} needs inception"
    if name == "rnn" and (len(hidden) != 1 or config.probe.name != "none" or config.probe.instruments):
        yield "model=rnn has one number in model.hidden, and nothing that looks inside: probe=none"
    if name in DIGITS and not hidden:
        yield "model.hidden=[] has no layer; give its sizes, such as model.hidden=[100,100,100]"
    for key in ("area", "aspect"):
        limits = getattr(config.augment, key)
        if len(limits) != 2 or limits[0] > limits[1]:
            yield f"augment.{key}={limits} is not two numbers, the smaller one first"
    if config.figure.split("/")[0] in OF_IMAGES and name in DIGITS:
        yield f"figure={config.figure} is of convolutional networks; with model={name} choose another figure="
    if config.data.classes == 1:
        yield "data.classes=1 leaves nothing to tell apart; 0 is all of them"
    if config.seeds is not None and len(set(config.seeds)) != len(config.seeds):
        yield f"seeds={config.seeds} names a seed twice"


def _options_without_effect(config: Config) -> Iterator[str]:
    """Messages on options that would be in the record and change nothing."""
    name, norm, training = config.model.name, config.norm, config.training
    if name in DIGITS:
        for key in ("precision", "compile", "replicas", "stop_at_chance"):
            default = getattr(Training(), key)
            if getattr(training, key) != default:
                yield f"model={name} has no training.{key}; leave it at {default}"
        if config.model.nonlinearity == "leaky_relu":
            yield f"model={name} has no leaky_relu; take sigmoid or relu"
        if config.init.conv_gain != 1:
            yield f"model={name} has no convolutions; leave init.conv_gain at 1"
        if config.augment.name != "none":
            yield f"model={name} reads whole digits; leave augment at none"
        if config.data.images_per_class:
            yield f"model={name} reads all digits; leave data.images_per_class at 0"
    else:
        if config.data.inputs != "raw":
            yield f"data.inputs is for model={' and '.join(DIGITS)}; leave it at raw"
        if config.evaluation.training_images:
            yield f"evaluation.training_images is for model={' and '.join(DIGITS)}; leave it at 0"
    if config.data.name == "mnist" and config.data.classes:
        yield "data.name=mnist always has its ten classes; leave data.classes at 0"
    default_weight = Model().aux_weight
    if not config.model.aux and config.model.aux_weight != default_weight:
        yield f"model.aux=false has no model.aux_weight; leave it at {default_weight}"
    if norm.sync and (norm.name != "bn" or norm.last or training.replicas == 1):
        yield "norm.sync=true needs norm=bn, no norm.last, and training.replicas of 2 or more"
    if config.init.beta and norm.name == "none":
        yield "norm=none has no beta; leave init.beta at 0"
    if norm.last and name != "inception":
        yield f"norm.last is for model=inception, not {name}"
    used = [name for name in (norm.name, norm.last) if name]
    if norm.placement != "before" and used == ["none"]:
        yield "norm=none has no norm.placement; leave it at before"
    defaults = vars(Norm())
    for key in sorted(defaults.keys() - set().union(SHARED_NORM_KEYS, *map(norm_options, used))):
        if getattr(norm, key) != defaults[key]:
            yield f"norm={' and '.join(used)} has no norm.{key}; leave it at {defaults[key]}"
    if config.optimizer.name != "sgd" and config.optimizer.momentum:
        yield f"optimizer={config.optimizer.name} has no momentum; leave it at 0"


def _too_many_batches(config: Config) -> Iterator[str]:
    """Messages on Alg. 2 and the probe, whose mini-batches of digits must hold different images."""
    if config.model.name not in DIGITS:
        return
    size, images = config.training.batch_size, TRAINING_DIGITS[config.data.split]
    if (evaluated := config.evaluation.training_images) > images:
        yield f"evaluation.training_images={evaluated} is more than the {images:,} training images"
    if size > images:
        yield f"training.batch_size={size} is more than the {images:,} training images"
    counts = {}
    if config.norm.name != "none":
        counts["evaluation.population_batches"] = config.evaluation.population_batches
    if config.probe.name != "none" or config.probe.instruments:
        counts["probe.batches"] = config.probe.batches
    for key, count in counts.items():
        if size * count > images:
            yield (
                f"{key}={count} mini-batches of training.batch_size={size} are more than the "
                f"{images:,} training images; lower one of them, such as {key}={images // size}"
            )
