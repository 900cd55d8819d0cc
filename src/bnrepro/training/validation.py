"""What of a configuration does not fit together, said in one line before anything is trained."""

from omegaconf import DictConfig

from bnrepro.config.schema import Config, Norm, Training
from bnrepro.config.values import check_device, structured
from bnrepro.errors import UserError
from bnrepro.layers import norm_options

DIGITS = ("mlp", "rnn")  # networks of the binary digits of Sec. 4.1
NORM_KEYS = ("name", "eps", "ema_decay", "affine", "placement", "sync", "last")  # the others are options of some
TRAINING_DIGITS = {"full": 60_000, "tune": 50_000}  # by data.split


def typed(composed: DictConfig) -> Config:
    """The composed Hydra configuration as typed objects, resolved and checked.

    Raises:
        UserError: a value of the wrong type, an unknown key, a value outside its choices or range, or two values that
            contradict each other.
    """
    config = structured(Config, composed)
    name = config.model.name
    if name in DIGITS and config.data.name != "mnist":
        raise UserError(f"configuration: model={name} is for MNIST; data.name={config.data.name} needs inception")
    if name == "rnn" and (len(config.model.hidden) != 1 or config.probe.name != "none" or config.probe.instruments):
        raise UserError(
            "configuration: model=rnn has one number in model.hidden, and nothing that looks inside: probe=none"
        )
    _refuse_what_would_be_ignored(config)
    if name in DIGITS:
        if not config.model.hidden:
            raise UserError(
                "configuration: model.hidden=[] has no layer; give its sizes, such as model.hidden=[100,100,100]"
            )
        _refuse_batches_that_do_not_fit(config)
    check_device(config.device)
    if config.seeds is not None and len(set(config.seeds)) != len(config.seeds):
        raise UserError(f"configuration: seeds={config.seeds} names a seed twice")
    return config


def _refuse_batches_that_do_not_fit(config: Config) -> None:
    """Alg. 2 and the probe take different images in each of their mini-batches, which have to be there."""
    size, images = config.training.batch_size, TRAINING_DIGITS[config.data.split]
    if size > images:
        raise UserError(f"configuration: training.batch_size={size} is more than the {images:,} training images")
    counts = {}
    if config.norm.name != "none":
        counts["evaluation.population_batches"] = config.evaluation.population_batches
    if config.probe.name != "none" or config.probe.instruments:
        counts["probe.batches"] = config.probe.batches
    for key, count in counts.items():
        if size * count > images:
            raise UserError(
                f"configuration: {key}={count} mini-batches of training.batch_size={size} are more than the "
                f"{images:,} training images; lower one of them, such as {key}={images // size}"
            )


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
    others = defaults.keys() - set().union(NORM_KEYS, *map(norm_options, norms))
    for key in sorted(others):
        if getattr(config.norm, key) != defaults[key]:
            raise UserError(f"configuration: norm={' and '.join(norms)} has no norm.{key}; leave it at {defaults[key]}")
    if config.optimizer.name != "sgd" and config.optimizer.momentum:
        raise UserError(f"configuration: optimizer={config.optimizer.name} has no momentum; leave it at 0")
    if config.data.inputs != "raw" and config.model.name not in DIGITS:
        raise UserError(f"configuration: data.inputs is for model={' and '.join(DIGITS)}; leave it at raw")
    if config.init.conv_gain != 1 and config.model.name in DIGITS:
        raise UserError(f"configuration: model={config.model.name} has no convolutions; leave init.conv_gain at 1")
