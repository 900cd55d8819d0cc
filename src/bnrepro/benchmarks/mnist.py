"""How fast Figure 1 trains, against the usual way of writing it and against the processor's own limit."""

import gzip
import itertools
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from bnrepro.benchmarks.record import median_ratio, row, write
from bnrepro.compat import ensure_torchvision
from bnrepro.config.schema import Config
from bnrepro.data.mnist import FILES
from bnrepro.timing import alternate, seconds
from bnrepro.training import build
from bnrepro.training.interrupt import StopRequest
from bnrepro.training.loop import Member, Trainer
from bnrepro.training.population import population_statistics
from bnrepro.training.schedule import milestones

STACK, STEPS, USUAL_STEPS, ROUNDS = 5, 1000, 200, 7  # 1,000 steps are one epoch
BATCH, SIZES = 60, (784, 100, 100, 100, 10)
PRODUCTS = sum(a * b for a, b in itertools.pairwise(SIZES))
# Forward, weight gradients and input gradients; the images need no gradient.
FLOPS_PER_STEP = 2 * BATCH * (3 * PRODUCTS - SIZES[0] * SIZES[1])
CPU = torch.device("cpu")


def _config(norm: str) -> Config:
    config = Config()
    config.norm.name = norm
    return config


def ours(norm: str, stack: int) -> Callable[[], float]:
    """Training steps a second, summed over the stacked seeds, of this repository's loop."""
    config, seeds = _config(norm), list(range(stack))
    task = build.task(config, build.dataset(config, CPU), seeds, CPU)
    optimizer = build.optimizer(config, task.model)

    def measure() -> float:
        torch.set_num_threads(1)
        trainer = Trainer(
            task=task,
            optimizer=optimizer,
            members=[Member(seed) for seed in seeds],
            steps=STEPS,
            rate=build.rate(config),
            looks={STEPS},
            look=lambda step: [{} for _ in seeds],
        )
        return stack * STEPS / seconds(lambda: trainer.train(StopRequest()))

    return measure


def usual(norm: str, threads: int, folder: str) -> Callable[[], float]:
    """Training steps a second as PyTorch's MNIST example does it: torchvision Dataset, DataLoader, Module, step."""
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
        for step, (images, labels) in enumerate(loader):
            if step == USUAL_STEPS:
                return
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()

    def measure() -> float:
        torch.set_num_threads(threads)
        return USUAL_STEPS / seconds(train)

    return measure


def look_costs(norm: str) -> dict[str, float]:
    """Seconds that the probes and the evaluations of one whole run of a stack take."""
    torch.set_num_threads(1)
    config, seeds = _config(norm), list(range(STACK))
    task = build.task(config, build.dataset(config, CPU), seeds, CPU)
    total = config.training.total_steps
    probe = task.probe(list(range(1000)))
    probes, evaluations = [], []
    for step in range(5):

        def look(step: int = step) -> None:
            with population_statistics(task.model, task.population(config.evaluation.population_batches)):
                task.evaluate()
                probes.append(seconds(lambda: probe(step)))

        evaluations.append(seconds(look) - probes[-1])
    timed = {"probes": (config.probe, probes), "evaluations": (config.evaluation, evaluations)}
    return {
        name: len(milestones(total, options.every, options.log_points_per_decade)) * statistics.median(times)
        for name, (options, times) in timed.items()
    }


def sweep_seconds(jobs: int) -> float:
    """Wall seconds of two short runs as a joblib sweep with so many jobs at once."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "scripts/train.py", "-m", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
        command += ["experiment=figure1/plain,figure1/bn", "seeds=[0,1,2,3,4]", "scale.mnist.steps=20000"]
        command += [f"runs_dir={folder}", "logger.mode=offline"]
        return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _unpack(folder: Path) -> None:
    """The files as torchvision wants them."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress((Path("data/mnist") / name).read_bytes()))


def matmul_flops(size: int = 1024, repeats: int = 5) -> float:
    """Floating-point operations a second of a large float32 matrix product on one thread."""
    torch.set_num_threads(1)
    a, b = torch.randn(size, size), torch.randn(size, size)
    a @ b
    return 2 * size**3 / min(seconds(lambda: a @ b) for _ in range(repeats))


def main(out: Path, command: str) -> None:
    """Measure everything and write one file."""
    cores = torch.get_num_threads()
    rows, raw = [], {}
    with tempfile.TemporaryDirectory() as folder:
        _unpack(Path(folder))
        for norm, arm, share in (("none", "without BN", 0.60), ("bn", "with BN", 0.45)):
            work = {
                "ours, 5 seeds stacked": ours(norm, STACK),
                "ours, one seed": ours(norm, 1),
                "usual, one thread": usual(norm, 1, folder),
                "usual, all cores": usual(norm, cores, folder),
                "large product, flop/s": matmul_flops,
            }
            rates = alternate(work, ROUNDS)
            stacked = rates["ours, 5 seeds stacked"]
            best = max(("usual, one thread", "usual, all cores"), key=lambda name: statistics.median(rates[name]))
            over_usual = median_ratio(stacked, rates[best])
            of_limit = median_ratio([FLOPS_PER_STEP * rate for rate in stacked], rates["large product, flop/s"])
            spent = {"training": STACK * Config().training.total_steps / statistics.median(stacked), **look_costs(norm)}
            raw[arm] = rates | {"seconds of a whole run of 5 seeds": spent}
            title = f"{arm}: steps/s of 5 stacked seeds on one thread over"
            rows += [
                row(f"{title} the usual way ({best.removeprefix('usual, ')})", over_usual, ">= 12"),
                row(f"{title} what one thread's large product allows", of_limit, f">= {share}"),
                row(f"{arm}: probes' share of a whole run's time", spent["probes"] / sum(spent.values()), "< 0.03"),
            ]
    sweeps = alternate({"one at a time": lambda: sweep_seconds(1), "two at a time": lambda: sweep_seconds(2)}, 2)
    gain = median_ratio(sweeps["one at a time"], sweeps["two at a time"])
    raw["sweep seconds"] = sweeps
    rows.append(row(f"joblib sweep of two runs, two at a time over one at a time, {cores} cores", gain, ">= 1.7"))
    write(out, "Figure 1's training speed", command, rows, raw)
