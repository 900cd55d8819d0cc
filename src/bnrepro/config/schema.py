"""The typed schema of a run's configuration.

The defaults here are frozen: a run's identity is the hash of what differs from them (`records.identity`), so a new key
at its default changes no id, and a changed default would change all of them. Fields with ``identity=False`` do not
change what a run measures and stay out of the hash. Each field declares its bounds or choices, which
`bnrepro.config.values` checks.
"""
# ruff: noqa: RUF009 - `key` makes a field

from collections.abc import Iterator
from copy import copy
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import OmegaConf

from bnrepro.config.datasets import DATASETS


def key(default: Any, *others: Any, identity: bool = True, **bounds: float) -> Any:
    """Return a field with a default.

    With ``others`` its value is one of them or the default. The bounds ``at_least``, ``at_most``, ``above`` and
    ``below`` are of a number, or of each one of a list. A key without identity stays out of the hash.
    """
    metadata = bounds | {"identity": identity, "choices": (default, *others) if others else ()}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Data:
    """The images that a run trains on and is evaluated on."""

    name: str = field(default="mnist", metadata={"choices": DATASETS})
    root: str = key("data/mnist", identity=False)
    # A run is evaluated on the test images (full), or on a split of the training images (tune).
    split: str = key("full", "tune")
    binarize_above: int = key(127, at_least=0, below=255)
    inputs: str = key("raw", "standardised", "whitened")  # of the MNIST network
    classes: int = key(0, at_least=0)  # of an ImageNet-like data set, evenly spaced; 0: all
    images_per_class: int = key(0, at_least=0)  # the first so many, to train and to evaluate on; 0: all
    pixels: int = key(28, at_least=8)  # width of the images that the network gets
    # Each epoch has a new order (full), or the same examples always meet in a mini-batch (shards).
    shuffle: str = key("full", "shards")
    workers: int = key(4, at_least=0, identity=False)  # processes that decode images while the network trains


@dataclass
class Augment:
    """How training images are cropped, mirrored and distorted, as GoogLeNet's were (Szegedy et al. 2014)."""

    name: str = key("none", "googlenet")
    # of a crop, as a share of the image
    area: list[float] = key([0.08, 1.0], above=0, at_most=1)
    aspect: list[float] = key([0.75, 4 / 3], above=0)
    flip: bool = True
    colour: float = key(1.0, at_least=0)  # strength of the photometric distortions


@dataclass
class Model:
    """The network: ``hidden`` layers of mlp (Sec. 4.1) and rnn, or the keys from ``width`` on of others (Fig. 5)."""

    name: str = key("mlp", "rnn", "inception", "googlenet")
    hidden: list[int] = key([100, 100, 100], at_least=1)
    nonlinearity: str = key("sigmoid", "relu", "leaky_relu")
    width: float = key(1.0, above=0)  # times every number of channels in the paper's table
    stem_reduction: int = key(8, 4)  # 4: for small images
    separable: bool = True
    projection_4cd: int = 96
    reduce_5a: int = 32
    dropout: float = key(0.0, at_least=0, below=1)
    lrn: bool = False
    lrn_alpha: float = key(1e-4, at_least=0)  # of local response normalisation
    aux: bool = False
    aux_weight: float = key(0.3, at_least=0)


@dataclass
class Norm:
    """The normaliser of every hidden layer, by its name in `bnrepro.layers.registry`, or ``none``."""

    name: str = "none"
    eps: float = key(1e-5, at_least=0)
    ema_decay: float = key(0.99, at_least=0, below=1)
    affine: bool = True
    # A normaliser stands before the nonlinearity (Sec. 3.2) or after it. After it, W u keeps its bias.
    placement: str = key("before", "after")
    sync: bool = False  # with replicas: statistics over all of them instead of each its own
    last: str = ""  # another normaliser for the last Inception module (Sec. 4.2.3: per_activation); empty: the same
    groups: int = key(32, at_least=1)  # of group_norm; fewer where they do not divide the features
    noise_in_statistics: bool = True  # of noisy_bn; without it, Alg. 2 takes the statistics of inference without noise
    r_max: float = 3.0  # These three are in committed configurations, and no normaliser uses them.
    d_max: float = 5.0
    warmup: float = 0.04


@dataclass
class Init:
    """The initial weights: Gaussian with one standard deviation, or as He or Glorot (xavier) scale them."""

    name: str = key("gaussian", "he", "xavier")
    std: float = key(0.1, at_least=0)  # of gaussian
    gain: float = 1.0  # times what he or xavier give
    beta: float = 0.0  # of every normaliser at the start; the paper gives none
    conv_gain: float = 1.0  # and times this in convolutional layers (Sec. 4.2.3: "larger initial weights" there)


@dataclass
class Optimizer:
    """The optimiser, its first learning rate and its L2 penalty; each is a base times a multiplier (Sec. 4.2.1)."""

    name: str = key("sgd", "adagrad", "adam")
    base_lr: float = key(0.1, at_least=0)
    lr_multiplier: float = key(1.0, at_least=0)
    momentum: float = key(0.0, at_least=0, below=1)  # of sgd
    base_l2: float = key(0.0, at_least=0)  # lambda of lambda/2 |w|^2, on weights alone
    l2_multiplier: float = key(1.0, at_least=0)

    @property
    def lr(self) -> float:
        """The learning rate of the first step."""
        return self.base_lr * self.lr_multiplier

    @property
    def l2(self) -> float:
        """The penalty lambda of lambda/2 |w|^2."""
        return self.base_l2 * self.l2_multiplier


@dataclass
class Schedule:
    """The learning rate over the steps."""

    name: str = key("constant", "exponential")
    factor: float = key(0.96, above=0)  # The exponential schedule multiplies the rate by this,
    base_every: float = key(320_000.0, above=0)  # after each so many steps, divided by the next key.
    decay_multiplier: float = key(1.0, above=0)

    @property
    def every(self) -> float:
        """The steps after which the rate is multiplied by ``factor``."""
        return self.base_every / self.decay_multiplier


@dataclass
class Training:
    """How long a run trains, on what mini-batches, and with what arithmetic."""

    steps: int = key(50_000, at_least=1, at_most=10**10)
    steps_multiplier: float = key(1.0, above=0)
    batch_size: int = key(60, at_least=2)  # of each replica
    replicas: int = key(1, at_least=1)  # processes that torchrun starts, each with its own mini-batch
    # tf32: products so, on a GPU; bfloat16: mixed, with normalisers in float32
    precision: str = key("float32", "tf32", "bfloat16")
    # a run ends after this share of its steps if its network is still at chance; 0: it never does
    stop_at_chance: float = key(0.0, at_least=0, below=1)
    # a mode of torch.compile; reduce-overhead records CUDA graphs
    compile: str = key("none", "default", "reduce-overhead", "max-autotune", identity=False)

    @property
    def total_steps(self) -> int:
        """The number of steps of the run, at least 1."""
        return max(1, round(self.steps * self.steps_multiplier))


@dataclass
class Evaluation:
    """When a run is evaluated, and with what statistics of its normalisers (Alg. 2)."""

    log_points_per_decade: int = key(5, at_least=1)  # of steps to evaluate at, up to `every`; regular from there
    every: int = key(1250, at_least=1)
    # An evaluation during training takes the statistics of Alg. 2 (population), or the moving averages.
    statistics: str = key("population", "moving_average")
    population_batches: int = key(100, at_least=0)  # of Alg. 2, in each replica; 0: a whole epoch
    training_images: int = key(0, at_least=0)  # so many are evaluated as the held-out images are: columns fit/*


@dataclass
class Probe:
    """What is measured inside the network, when, and on how many fixed mini-batches."""

    name: str = key("percentiles", "none")
    instruments: list[str] = field(default_factory=list)  # more to measure at the same steps: probes/instruments.py
    batches: int = key(10, at_least=1)
    log_points_per_decade: int = key(1, at_least=1)
    every: int = key(2500, at_least=1)


@dataclass
class Logger:
    """The mirror of the record in Weights & Biases."""

    # auto: online with an account, else offline
    mode: str = key("auto", "online", "offline", "disabled")
    project: str = "bnrepro"
    entity: str | None = None
    timeout_seconds: float = key(15.0, at_least=0)  # for W&B to connect, and at the end to take the rest


@dataclass
class Config:
    """The whole configuration of a run; each section is a folder of configs/."""

    experiment: str = key("", identity=False)
    variant: str = key("", identity=False)
    figure: str = key("", identity=False)
    seed: int = key(0, at_least=0, identity=False)
    # train these stacked in one program; one run directory each
    seeds: list[int] | None = key(None, identity=False, at_least=0)
    publish: bool = key(False, identity=False)  # copy finished records into results/
    runs_dir: str = key("runs", identity=False)
    results_dir: str = key("results", identity=False)
    device: str = key("cpu", identity=False)
    threads: int = key(1, at_least=1, identity=False)
    checkpoint_seconds: float = key(20.0, at_least=0, identity=False)
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
    scale: dict[str, Any] = key({"name": "paper"}, identity=False)
    logger: Logger = field(default_factory=Logger, metadata={"identity": False})


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
