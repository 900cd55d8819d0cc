"""How fast Figure 1 trains, compared with PyTorch's MNIST example and with the limit of the processor."""

import gzip
import itertools
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bnrepro.benchmarks.record import row
from bnrepro.compat import ensure_torchvision
from bnrepro.config.schema import Config
from bnrepro.data.mnist import FILES
from bnrepro.identities.timing import alternate
from bnrepro.training import build
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.loop import Member, Trainer
from bnrepro.training.population import population_statistics
from bnrepro.training.schedule import milestones

SEEDS = [0, 1, 2, 3, 4]
STEPS, USUAL_STEPS, ROUNDS = 1000, 200, 7  # 1,000 steps are one epoch
BATCH, SIZES = 60, (784, 100, 100, 100, 10)
PRODUCTS = sum(a * b for a, b in itertools.pairwise(SIZES))
# Forward, weight gradients and input gradients; the images need no gradient.
FLOPS_PER_STEP = 2 * BATCH * (3 * PRODUCTS - SIZES[0] * SIZES[1])


def _task(norm: str):
    """Return the configuration of the network with this normaliser, and the task that trains it with every seed."""
    config, cpu = Config(), torch.device("cpu")
    config.norm.name = norm
    return config, build.task(config, build.dataset(config, cpu), SEEDS, cpu)


def ours(norm: str) -> Callable[[], float]:
    """Measure the training steps a second of this repository's loop, summed over the stacked seeds."""
    config, task = _task(norm)
    optimizer = build.optimizer(config, task.model)

    def measure() -> float:
        torch.set_num_threads(1)
        trainer = Trainer(
            task=task,
            optimizer=optimizer,
            members=[Member(seed) for seed in SEEDS],
            steps=STEPS,
            rate=build.rate(config),
            evaluation_steps={STEPS},
            look=lambda step: [{} for _ in SEEDS],
        )
        return len(SEEDS) * STEPS / timeit.timeit(lambda: trainer.train(StopRequest()), number=1)

    return measure


def usual(norm: str, threads: int, folder: Path) -> Callable[[], float]:
    """Measure the training steps a second of PyTorch's MNIST example: Dataset, DataLoader, Module and step."""
    ensure_torchvision()
    from torchvision import datasets, transforms

    binary = transforms.Compose([transforms.ToTensor(), transforms.Lambda(lambda image: (image > 0.5).float())])
    loader = torch.utils.data.DataLoader(datasets.MNIST(folder, transform=binary), batch_size=BATCH, shuffle=True)
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(SIZES[:-1]):
        layers += [nn.Linear(fan_in, fan_out, bias=norm == "none")]
        layers += [nn.Sigmoid()] if norm == "none" else [nn.BatchNorm1d(fan_out), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(SIZES[-2], SIZES[-1]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train() -> None:
        for images, labels in itertools.islice(loader, USUAL_STEPS):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()

    def measure() -> float:
        torch.set_num_threads(threads)
        return USUAL_STEPS / timeit.timeit(train, number=1)

    return measure


def probes_and_evaluations(norm: str) -> dict[str, float]:
    """Return the seconds that all probes and all evaluations of one whole run of the stack take."""
    torch.set_num_threads(1)
    config, task = _task(norm)
    probe, probes = task.probe(list(range(1000))), []

    def look() -> None:
        with population_statistics(task.model, task.population(config.evaluation.population_batches)):
            task.evaluate()
            probes.append(timeit.timeit(lambda: probe(len(probes)), number=1))

    looks = timeit.repeat(look, number=1)
    evaluations = [whole - probing for whole, probing in zip(looks, probes, strict=True)]
    timed = {"probes": (config.probe, probes), "evaluations": (config.evaluation, evaluations)}
    steps = config.training.total_steps
    return {
        name: len(milestones(steps, options.every, options.log_points_per_decade)) * statistics.median(times)
        for name, (options, times) in timed.items()
    }


def large_product() -> float:
    """Return the floating-point operations a second of a large float32 matrix product on one thread."""
    torch.set_num_threads(1)
    size = 1024
    a, b = torch.randn(size, size), torch.randn(size, size)
    a @ b
    return 2 * size**3 / min(timeit.repeat(lambda: a @ b, number=1))


def sweep_seconds(jobs: int) -> float:
    """Return the wall seconds of two short runs as a joblib sweep with so many jobs at once."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "scripts/train.py", "-m", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
        command += ["experiment=figure1/plain,figure1/bn", "seeds=[0,1,2,3,4]", "scale.mnist.steps=20000"]
        command += [f"runs_dir={folder}", "logger.mode=offline"]
        return timeit.timeit(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), number=1)


def _unpack(folder: Path) -> None:
    """Write the files as torchvision reads them."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress((Path("data/mnist") / name).read_bytes()))


def mnist() -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Measure everything.

    Returns:
        the title, the rows and the raw numbers of the record.
    """
    cores = torch.get_num_threads()
    rows, raw = [], {}
    with tempfile.TemporaryDirectory() as folder:
        _unpack(Path(folder))
        for norm, arm, share in (("none", "without BN", 0.60), ("bn", "with BN", 0.45)):
            peers = {"one thread": usual(norm, 1, Path(folder)), "all cores": usual(norm, cores, Path(folder))}
            rates = alternate({"ours": ours(norm), "large product, flop/s": large_product} | peers, ROUNDS)
            fastest = max(peers, key=lambda name: statistics.median(rates[name]))
            flops = [FLOPS_PER_STEP * rate for rate in rates["ours"]]
            training = len(SEEDS) * Config().training.total_steps / statistics.median(rates["ours"])
            seconds = {"training": training, **probes_and_evaluations(norm)}
            raw[arm] = rates | {"seconds of a whole run of 5 seeds": seconds}
            title = f"{arm}: steps/s of 5 stacked seeds on one thread over"
            limit = rates["large product, flop/s"]
            rows += [
                row(f"{title} the usual way ({fastest})", rates["ours"], rates[fastest], ">= 12"),
                row(f"{title} what one thread's large product allows", flops, limit, f">= {share}"),
                row(f"{arm}: probes' share of a whole run", [seconds["probes"]], [sum(seconds.values())], "< 0.03"),
            ]
    sweeps = alternate({"one at a time": lambda: sweep_seconds(1), "two at a time": lambda: sweep_seconds(2)}, 2)
    raw["sweep seconds"] = sweeps
    title = f"joblib sweep of two runs, two at a time over one at a time, {cores} cores"
    rows.append(row(title, sweeps["one at a time"], sweeps["two at a time"], ">= 1.7"))
    return "Figure 1's training speed", rows, raw
