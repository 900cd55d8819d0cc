"""The typed schema of a run's configuration.

The defaults here are frozen: a run's identity is the hash of what differs from them (`records.identity`), so a new key
at its default changes no id, and a changed default would change all of them. Fields marked ``IDENTITY_FREE`` do not
change what a run measures and stay out of the hash.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnrepro.errors import UserError

IDENTITY_FREE = {"identity": False}


def _free(default: Any) -> Any:
    return field(default=default, metadata=IDENTITY_FREE)


@dataclass
class Data:
    name: str = "mnist"
    root: str = _free("data/mnist")
    split: str = "full"  # full: evaluate on the test images; tune: on a split of the training images
    binarize_above: int = 127


@dataclass
class Model:
    name: str = "mlp"
    hidden: list[int] = field(default_factory=lambda: [100, 100, 100])
    nonlinearity: str = "sigmoid"


@dataclass
class Norm:
    name: str = "none"
    eps: float = 1e-5
    ema_decay: float = 0.99
    affine: bool = True


@dataclass
class Init:
    name: str = "gaussian"
    std: float = 0.1


@dataclass
class Optimizer:
    name: str = "sgd"
    base_lr: float = 0.1
    lr_multiplier: float = 1.0
    momentum: float = 0.0

    @property
    def lr(self) -> float:
        return self.base_lr * self.lr_multiplier


@dataclass
class Training:
    steps: int = 50_000
    batch_size: int = 60


@dataclass
class Evaluation:
    log_points_per_decade: int = 5  # evaluation steps are log-spaced up to `every` and regular from there
    every: int = 1250
    population_batches: int = 100  # Alg. 2 at each evaluation; the last one takes every training batch


@dataclass
class Probe:
    name: str = "percentiles"
    batches: int = 10
    log_points_per_decade: int = 1
    every: int = 2500


@dataclass
class Logger:
    mode: str = "auto"  # auto (online with an account, else offline), online, offline, disabled
    project: str = "bnrepro"
    entity: str | None = None
    timeout_seconds: float = 15.0  # for W&B to connect, and at the end to take the rest


@dataclass
class Config:
    experiment: str = _free("")
    variant: str = _free("")
    figure: str = _free("")
    seed: int = _free(0)
    seeds: list[int] | None = field(
        default=None, metadata=IDENTITY_FREE
    )  # train these stacked in one program; one run directory each
    publish: bool = _free(False)  # copy finished records into results/
    runs_dir: str = _free("runs")
    results_dir: str = _free("results")
    device: str = _free("cpu")
    threads: int = _free(1)
    checkpoint_seconds: float = _free(20.0)
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    norm: Norm = field(default_factory=Norm)
    init: Init = field(default_factory=Init)
    optimizer: Optimizer = field(default_factory=Optimizer)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    probe: Probe = field(default_factory=Probe)
    scale: dict[str, Any] = field(default_factory=lambda: {"name": "paper"}, metadata=IDENTITY_FREE)
    logger: Logger = field(default_factory=Logger, metadata=IDENTITY_FREE)


CHOICES = {
    "data.split": ("full", "tune"),
    "logger.mode": ("auto", "online", "offline", "disabled"),
    "model.nonlinearity": ("sigmoid", "relu"),
    "probe.name": ("percentiles", "none"),
    "data.name": ("mnist",),
    "model.name": ("mlp",),
    "init.name": ("gaussian",),
    "optimizer.name": ("sgd",),
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
            raise UserError(f"configuration: {key}={value} is not one of {', '.join(allowed)}")
    at_least_one = {
        "training.steps": config.training.steps,
        "evaluation.every": config.evaluation.every,
        "probe.every": config.probe.every,
        "evaluation.log_points_per_decade": config.evaluation.log_points_per_decade,
        "probe.log_points_per_decade": config.probe.log_points_per_decade,
        "probe.batches": config.probe.batches,
        "threads": config.threads,
    }
    for key, value in at_least_one.items():
        if value < 1:
            raise UserError(f"configuration: {key}={value} must be at least 1")
    if config.training.batch_size < 2:
        raise UserError("configuration: training.batch_size must be at least 2 (batch statistics need m > 1)")
    if min(run_seeds(config)) < 0:
        raise UserError("configuration: a seed must not be negative")
    if config.seeds is not None and len(set(config.seeds)) != len(config.seeds):
        raise UserError(f"configuration: seeds={config.seeds} names a seed twice")
    return config


def run_seeds(config: Config) -> list[int]:
    """The seeds of this launch: ``seeds`` if given, else ``seed`` alone."""
    return list(config.seeds) if config.seeds else [config.seed]


def as_yaml(config: Config, seed: int) -> str:
    """One seed's configuration as a record keeps it: everything but the folders of the machine it ran on."""
    plain = asdict(config) | {"seed": seed, "seeds": None}
    del plain["runs_dir"], plain["results_dir"], plain["data"]["root"]
    return OmegaConf.to_yaml(OmegaConf.create(plain), sort_keys=True)
