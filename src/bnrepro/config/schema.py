"""The typed schema of a run's configuration.

The defaults here are frozen: a run's identity is the hash of what differs from them (`records.identity`), so a new key
at its default changes no id, and a changed default would change all of them. Fields marked ``IDENTITY_FREE`` do not
change what a run measures and stay out of the hash. Each field declares its bounds or choices, which
`bnrepro.config.values` checks.
"""

from collections.abc import Iterator
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import OmegaConf

from bnrepro.config.datasets import DATASETS

IDENTITY_FREE = {"identity": False}


def _free(default: Any, **bounds: float) -> Any:
    return field(default=default, metadata=IDENTITY_FREE | bounds)


def _bounded(default: Any, **bounds: float) -> Any:
    """A field with the bounds ``at_least``, ``at_most``, ``above``, ``below`` of a number, or of each one of a list."""
    return field(default=default, metadata=bounds)


def one_of(*choices: Any, default: Any, identity: bool = True) -> Any:
    """A field whose value is one of the choices."""
    return field(default=default, metadata={"choices": choices, "identity": identity})


@dataclass
class Data:
    name: str = field(default="mnist", metadata={"choices": DATASETS})
    root: str = _free("data/mnist")
    # full: evaluate on the test images; tune: on a split of the training images
    split: str = one_of("full", "tune", default="full")
    binarize_above: int = _bounded(127, at_least=0, below=255)
    inputs: str = one_of("raw", "standardised", "whitened", default="raw")  # of the MNIST network
    classes: int = _bounded(0, at_least=0)  # of an ImageNet-like data set, evenly spaced; 0: all
    images_per_class: int = _bounded(0, at_least=0)  # the first so many, to train and to evaluate on; 0: all
    pixels: int = _bounded(28, at_least=8)  # width of the images that the network gets
    # full: a new order each epoch; shards: the same examples always meet in a mini-batch
    shuffle: str = one_of("full", "shards", default="full")
    workers: int = _free(4, at_least=0)  # processes that decode images while the network trains


@dataclass
class Augment:
    name: str = one_of("none", "googlenet", default="none")
    # of a crop, as a share of the image
    area: list[float] = field(default_factory=lambda: [0.08, 1.0], metadata={"above": 0, "at_most": 1})
    aspect: list[float] = field(default_factory=lambda: [0.75, 4 / 3], metadata={"above": 0})
    flip: bool = True
    colour: float = _bounded(1.0, at_least=0)  # strength of the photometric distortions


@dataclass
class Model:
    name: str = one_of("mlp", "rnn", "inception", "googlenet", default="mlp")
    hidden: list[int] = field(default_factory=lambda: [100, 100, 100], metadata={"at_least": 1})
    nonlinearity: str = one_of("sigmoid", "relu", "leaky_relu", default="sigmoid")
    width: float = _bounded(1.0, above=0)  # times every number of channels in the paper's table
    stem_reduction: int = one_of(8, 4, default=8)  # 4: for small images
    separable: bool = True
    projection_4cd: int = 96
    reduce_5a: int = 32
    dropout: float = _bounded(0.0, at_least=0, below=1)
    lrn: bool = False
    lrn_alpha: float = _bounded(1e-4, at_least=0)  # of local response normalisation
    aux: bool = False
    aux_weight: float = _bounded(0.3, at_least=0)


@dataclass
class Norm:
    name: str = "none"
    eps: float = _bounded(1e-5, at_least=0)
    ema_decay: float = _bounded(0.99, at_least=0, below=1)
    affine: bool = True
    # the nonlinearity (Sec. 3.2), or after it, where W u keeps its bias
    placement: str = one_of("before", "after", default="before")
    sync: bool = False  # with replicas: statistics over all of them instead of each its own
    last: str = ""  # another normaliser for the last Inception module (Sec. 4.2.3: per_activation); empty: the same
    groups: int = _bounded(32, at_least=1)  # of group_norm; fewer where they do not divide the features
    r_max: float = 3.0  # no normaliser here has these three; committed configurations do
    d_max: float = 5.0
    warmup: float = 0.04


@dataclass
class Init:
    name: str = one_of("gaussian", "he", "xavier", default="gaussian")
    std: float = _bounded(0.1, at_least=0)  # of gaussian
    gain: float = 1.0  # times what he or xavier give
    beta: float = 0.0  # of every normaliser at the start; the paper gives none
    conv_gain: float = 1.0  # and times this in convolutional layers (Sec. 4.2.3: "larger initial weights" there)


@dataclass
class Optimizer:
    name: str = one_of("sgd", "adagrad", "adam", default="sgd")
    base_lr: float = _bounded(0.1, at_least=0)
    lr_multiplier: float = _bounded(1.0, at_least=0)
    momentum: float = _bounded(0.0, at_least=0, below=1)  # of sgd
    base_l2: float = _bounded(0.0, at_least=0)  # lambda of lambda/2 |w|^2, on weights alone
    l2_multiplier: float = _bounded(1.0, at_least=0)

    @property
    def lr(self) -> float:
        return self.base_lr * self.lr_multiplier

    @property
    def l2(self) -> float:
        return self.base_l2 * self.l2_multiplier


@dataclass
class Schedule:
    name: str = one_of("constant", "exponential", default="constant")
    factor: float = _bounded(0.96, above=0)  # exponential: times this
    base_every: float = _bounded(320_000.0, above=0)  # after each so many steps
    decay_multiplier: float = _bounded(1.0, above=0)  # and so many times faster

    @property
    def every(self) -> float:
        return self.base_every / self.decay_multiplier


@dataclass
class Training:
    steps: int = _bounded(50_000, at_least=1, at_most=10**10)
    steps_multiplier: float = _bounded(1.0, above=0)
    batch_size: int = _bounded(60, at_least=2)  # of each replica
    replicas: int = _bounded(1, at_least=1)  # processes that torchrun starts, each with its own mini-batch
    # tf32: products so, on a GPU; bfloat16: mixed, with normalisers in float32
    precision: str = one_of("float32", "tf32", "bfloat16", default="float32")
    # a run ends after this share of its steps if its network is still at chance; 0: it never does
    stop_at_chance: float = _bounded(0.0, at_least=0, below=1)
    # a mode of torch.compile; reduce-overhead records CUDA graphs
    compile: str = one_of("none", "default", "reduce-overhead", "max-autotune", default="none", identity=False)

    @property
    def total_steps(self) -> int:
        return max(1, round(self.steps * self.steps_multiplier))


@dataclass
class Evaluation:
    log_points_per_decade: int = _bounded(5, at_least=1)  # of steps to evaluate at, up to `every`; regular from there
    every: int = _bounded(1250, at_least=1)
    # of normalisers at an evaluation during training; population: by Alg. 2 each time
    statistics: str = one_of("population", "moving_average", default="population")
    population_batches: int = _bounded(100, at_least=0)  # of Alg. 2


@dataclass
class Probe:
    name: str = one_of("percentiles", "none", default="percentiles")
    instruments: list[str] = field(default_factory=list)  # more to measure at the same steps: probes/instruments.py
    batches: int = _bounded(10, at_least=1)
    log_points_per_decade: int = _bounded(1, at_least=1)
    every: int = _bounded(2500, at_least=1)


@dataclass
class Logger:
    # auto: online with an account, else offline
    mode: str = one_of("auto", "online", "offline", "disabled", default="auto")
    project: str = "bnrepro"
    entity: str | None = None
    timeout_seconds: float = _bounded(15.0, at_least=0)  # for W&B to connect, and at the end to take the rest


@dataclass
class Config:
    experiment: str = _free("")
    variant: str = _free("")
    figure: str = _free("")
    seed: int = _free(0, at_least=0)
    # train these stacked in one program; one run directory each
    seeds: list[int] | None = field(default=None, metadata=IDENTITY_FREE | {"at_least": 0})
    publish: bool = _free(False)  # copy finished records into results/
    runs_dir: str = _free("runs")
    results_dir: str = _free("results")
    device: str = _free("cpu")
    threads: int = _free(1, at_least=1)
    checkpoint_seconds: float = _free(20.0, at_least=0)
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    norm: Norm = field(default_factory=Norm)
    init: Init = field(default_factory=Init)
    augment: Augment = field(default_factory=Augment)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    probe: Probe = field(default_factory=Probe)
    scale: dict[str, Any] = field(default_factory=lambda: {"name": "paper"}, metadata=IDENTITY_FREE)
    logger: Logger = field(default_factory=Logger, metadata=IDENTITY_FREE)


def walk(section: Any, prefix: str = "") -> Iterator[tuple[str, Field, Any]]:
    """Yield the key, the field and the value of everything in a configuration; sections come before their fields."""
    for entry in fields(section):
        key, value = prefix + entry.name, getattr(section, entry.name)
        yield key, entry, value
        if is_dataclass(value):
            yield from walk(value, f"{key}.")


def run_seeds(config: Config) -> list[int]:
    """Return the seeds of this launch: ``seeds`` if given, or else ``seed`` alone."""
    return list(config.seeds) if config.seeds else [config.seed]


def as_yaml(config: Config, seed: int) -> str:
    """Return one seed's configuration as its record holds it: without the folders of the machine."""
    plain = asdict(config) | {"seed": seed, "seeds": None}
    del plain["runs_dir"], plain["results_dir"], plain["data"]["root"]
    return OmegaConf.to_yaml(OmegaConf.create(plain), sort_keys=True)
