"""From what Hydra composed to a typed configuration, or one line that says which value is wrong."""

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnrepro.config import Config, Norm, Training, run_seeds
from bnrepro.data.inputs import KINDS
from bnrepro.errors import UserError
from bnrepro.layers import norm_names, norm_options
from bnrepro.models.placement import PLACEMENTS

DIGITS = ("mlp", "rnn")  # networks of the binary digits of Sec. 4.1
CHOICES = {
    "data.split": ("full", "tune"),
    "logger.mode": ("auto", "online", "offline", "disabled"),
    "model.nonlinearity": ("sigmoid", "relu", "leaky_relu"),
    "probe.name": ("percentiles", "none"),
    "data.inputs": KINDS,
    "data.name": ("mnist", "tiny_imagenet", "imagenet"),
    "data.shuffle": ("full", "shards"),
    "augment.name": ("none", "googlenet"),
    "model.name": ("mlp", "rnn", "inception", "googlenet"),
    "model.stem_reduction": (8, 4),
    "norm.placement": PLACEMENTS,
    "init.name": ("gaussian", "he", "xavier"),
    "optimizer.name": ("sgd", "adagrad", "adam"),
    "schedule.name": ("constant", "exponential"),
    "evaluation.statistics": ("population", "moving_average"),
    "training.precision": ("float32", "tf32", "bfloat16"),
    "training.compile": ("none", "default", "reduce-overhead", "max-autotune"),
}


def typed(composed: DictConfig) -> Config:
    """The composed Hydra configuration as typed objects, resolved and checked.

    Raises:
        UserError: a value of the wrong type, an unknown key, or a value outside its choices or range.
    """
    try:
        config: Config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), composed))
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"configuration: {getattr(error, 'full_key', '') or ''}: {reason}") from None
    for key, allowed in CHOICES.items():
        section, name = key.split(".")
        value = getattr(getattr(config, section), name)
        if value not in allowed:
            raise UserError(f"configuration: {key}={value} is not one of {', '.join(map(str, allowed))}")
    at_least_one = {
        "training.steps": config.training.steps,
        "evaluation.every": config.evaluation.every,
        "probe.every": config.probe.every,
        "evaluation.log_points_per_decade": config.evaluation.log_points_per_decade,
        "probe.log_points_per_decade": config.probe.log_points_per_decade,
        "probe.batches": config.probe.batches,
        "threads": config.threads,
        "training.replicas": config.training.replicas,
        "data.pixels": config.data.pixels,
    }
    for key, value in at_least_one.items():
        if value < 1:
            raise UserError(f"configuration: {key}={value} must be at least 1")
    positive = {
        "training.steps_multiplier": config.training.steps_multiplier,
        "schedule.base_every": config.schedule.base_every,
        "schedule.decay_multiplier": config.schedule.decay_multiplier,
        "model.width": config.model.width,
    }
    for key, value in positive.items():
        if not value > 0:
            raise UserError(f"configuration: {key}={value} must be above 0")
    if not 0 <= config.training.stop_at_chance < 1:
        raise UserError("configuration: training.stop_at_chance is a share of the steps: at least 0, below 1")
    name = config.model.name
    if name in DIGITS and config.data.name != "mnist":
        raise UserError(f"configuration: model={name} is for MNIST; data.name={config.data.name} needs inception")
    if name == "rnn" and (len(config.model.hidden) != 1 or config.probe.name != "none" or config.probe.instruments):
        raise UserError(
            "configuration: model=rnn has one number in model.hidden, and nothing that looks inside: probe=none"
        )
    _refuse_what_would_be_ignored(config)
    if config.training.batch_size < 2:
        raise UserError("configuration: training.batch_size must be at least 2 (batch statistics need m > 1)")
    if min(run_seeds(config)) < 0:
        raise UserError("configuration: a seed must not be negative")
    if config.seeds is not None and len(set(config.seeds)) != len(config.seeds):
        raise UserError(f"configuration: seeds={config.seeds} names a seed twice")
    return config


def _refuse_what_would_be_ignored(config: Config) -> None:
    """Options that a network or normaliser does not have: they would be in the record and change nothing."""
    usual, training = Training(), config.training
    for key in ("precision", "compile", "replicas"):
        if config.model.name in DIGITS and getattr(training, key) != getattr(usual, key):
            name = config.model.name
            raise UserError(f"configuration: model={name} has no training.{key}; leave it at {getattr(usual, key)}")
    if config.norm.sync and (config.norm.name != "bn" or config.norm.last or training.replicas == 1):
        raise UserError("configuration: norm.sync=true needs norm=bn, no norm.last, and training.replicas of 2 or more")
    if training.stop_at_chance and config.model.name in DIGITS:
        raise UserError(f"configuration: model={config.model.name} has no training.stop_at_chance; leave it at 0")
    if config.model.name in DIGITS and config.model.nonlinearity == "leaky_relu":
        raise UserError(f"configuration: model={config.model.name} has no leaky_relu; take sigmoid or relu")
    if config.init.beta and config.norm.name == "none":
        raise UserError("configuration: norm=none has no beta; leave init.beta at 0")
    if config.norm.last and config.model.name != "inception":
        raise UserError(f"configuration: norm.last is for model=inception, not {config.model.name}")
    defaults, norms = vars(Norm()), [name for name in (config.norm.name, config.norm.last) if name]
    if config.norm.placement != "before" and norms == ["none"]:
        raise UserError("configuration: norm=none has no norm.placement; leave it at before")
    others = set().union(*map(norm_options, norm_names())) - set().union(*map(norm_options, norms))
    for key in sorted(others & defaults.keys()):
        if getattr(config.norm, key) != defaults[key]:
            raise UserError(f"configuration: norm={' and '.join(norms)} has no norm.{key}; leave it at {defaults[key]}")
    if config.optimizer.name != "sgd" and config.optimizer.momentum:
        raise UserError(f"configuration: optimizer={config.optimizer.name} has no momentum; leave it at 0")
    if config.data.inputs != "raw" and config.model.name not in DIGITS:
        raise UserError(f"configuration: data.inputs is for model={' and '.join(DIGITS)}; leave it at raw")
    if config.init.conv_gain != 1 and config.model.name in DIGITS:
        raise UserError(f"configuration: model={config.model.name} has no convolutions; leave init.conv_gain at 1")
