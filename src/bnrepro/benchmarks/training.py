"""How fast networks for images train, beside the same network in timm's step or torchvision's GoogLeNet.

``benchmark.py train`` measures three networks at each scale; ``benchmark.py gpu`` one network on a GPU in each setting.
"""

import itertools
import statistics
from pathlib import Path
from typing import Any

import torch

from bnrepro.benchmarks import costs, steps
from bnrepro.benchmarks.record import median_ratio, row, write
from bnrepro.benchmarks.steps import CLASSES, Setting
from bnrepro.config import overrides
from bnrepro.config.schema import Config
from bnrepro.errors import UserError
from bnrepro.models import registered  # noqa: F401 - registers the networks with timm
from bnrepro.timing import alternate
from bnrepro.training import build

ROUNDS = 3
COUNTS = {"laptop": 20, "tiny64": 2, "paper": 1}  # steps of `train` in a round, after one to warm up
EXPERIMENTS = {"figure2/bn_x5": COUNTS, "figure2/inception": COUNTS, "googlenet/bn": ("paper",)}
BATCHES, PRECISIONS, MODES = (32, 128, 256), ("float32", "bfloat16"), ("none", "reduce-overhead")  # of `gpu`
GPU_COUNT, GPU_WARM = 20, 5


def beside(
    config: Config, setting: Setting, peers: Setting, device: torch.device, count: int, warm: int = 1
) -> tuple[str, dict[str, list[float]]]:
    """The peer of a network, and the images a second of each, side by side.

    Our step is computed by ``setting``, the peer's by ``peers``; ``count`` steps in a round, ``warm`` before the first.
    """
    classes = CLASSES[config.scale["name"]]
    model = build.network(config, [0], device, classes)
    data, peers_data = (steps.noise(config.data.pixels, classes, kind, device) for kind in (setting, peers))
    if config.model.name == "googlenet":
        peer, peers_step = "torchvision's googlenet", steps.torchvisions(peers_data, classes, peers, device)
    else:
        peers_model = build.network(config, [0], device, classes)
        peer, peers_step = "timm's step", steps.timms(peers_model, peers_data, peers, device)
    ours = steps.rate(steps.ours(config, model, data, setting, device), setting, count, device, warm)
    return peer, alternate({"ours": ours, peer: steps.rate(peers_step, peers, count, device, warm)}, ROUNDS)


def network_of(config: Config) -> str:
    """What a configuration trains, by timm's name."""
    return ("" if config.norm.name == "none" else "bn_") + config.model.name


def train(out: Path, command: str) -> None:
    """Each network at each scale in float32, on the GPU if there is one, else on one CPU thread."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "one CPU thread"
    torch.set_num_threads(1)
    setting, peers = Setting(), Setting(channels_last=False)  # the peers' scripts leave the memory format as it is
    rows, images, speeds = [], {}, {}
    for experiment, scales in EXPERIMENTS.items():
        for scale in scales:
            config = steps.configuration(experiment, scale)
            peer, rates = beside(config, setting, peers, device, COUNTS[scale])
            network = network_of(config)
            images[f"{network}, {scale}"] = rates
            speeds[network, scale] = costs.Speed(statistics.median(rates["ours"]), str(setting))
            ratio = median_ratio(rates["ours"], rates[peer])
            rows.append(row(f"images/s, {network}, {scale} over {peer} ({name})", ratio, "> 1"))
    write(out, "Training speed of the ImageNet networks", command, rows, {"device": name, "images/s": images})
    costs.show(speeds, name)


def by_setting(
    config: Config, batches: tuple[int, ...], modes: tuple[str, ...], device: torch.device, count: int = GPU_COUNT
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the raw numbers of the record: a row for each batch size, precision and mode of compilation.

    A setting that the card or PyTorch cannot do is named in the raw numbers with its error, and costs nothing else.
    """
    rows, images, missing = [], {}, {}
    for setting in itertools.starmap(Setting, itertools.product(batches, PRECISIONS, (True,), modes)):
        torch.compiler.reset()  # a second batch size would otherwise be compiled for any size, which is another program
        try:
            peer, rates = beside(config, setting, setting, device, count, GPU_WARM)
        except Exception as error:  # out of memory, or no compiler: a finding, too
            missing[str(setting)] = f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        images[str(setting)] = rates
        title = f"images/s, {config.experiment}, {config.scale['name']}, {setting}, over {peer}"
        rows.append(row(title, median_ratio(rates["ours"], rates[peer]), "> 1"))
    return rows, {"images/s": images, "not measured": missing}


def gpu(out: Path, command: str, experiment: str, scale: str) -> None:
    """One network in each setting, and what training costs at the fastest one of mini-batches of 32."""
    overrides.check([f"experiment={experiment}", f"scale={scale}"], steps.CONFIGS)
    config = steps.configuration(experiment, scale)
    if config.model.name not in ("inception", "googlenet"):
        raise UserError(f"experiment {experiment} trains {config.model.name}; choose one of figure2/ or googlenet/")
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu needs an NVIDIA GPU, and PyTorch finds none here")
    torch.set_num_threads(1)
    rows, raw = by_setting(config, BATCHES, MODES, torch.device("cuda"))
    name = torch.cuda.get_device_name()
    write(out, "Training speed on one GPU", command, rows, {"device": name} | raw)
    small = {key: statistics.median(rates["ours"]) for key, rates in raw["images/s"].items() if "batch 32," in key}
    if config.model.name == "inception" and small:
        fastest = max(small, key=small.__getitem__)
        costs.show({(network_of(config), scale): costs.Speed(small[fastest], fastest)}, name)
