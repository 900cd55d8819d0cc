"""The first steps of one committed run of each experiment, trained again, give the committed numbers.

On the kind of machine that a record comes from they are the same to the last digit that it keeps. Elsewhere losses
agree within 1e-5, as far as the network does not amplify the rounding of another processor. Of a record from a GPU the
first loss is compared: products are rounded to TF32 there, and dropout draws other numbers.
"""

import csv
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from bnrepro.config.schema import Config
from bnrepro.data import load, mnist, tiny_imagenet
from bnrepro.errors import UserError
from bnrepro.records.provenance import provenance
from bnrepro.records.run import RunDirectory
from bnrepro.training import build
from bnrepro.training.distributed import ALONE
from bnrepro.training.loop import Trainer
from bnrepro.training.recorder import SeedRun
from bnrepro.training.session import Session
from bnrepro.training.validation import typed
from conftest import ROOT

ROWS, LAST_STEP = 3, 10  # so many rows, but none after this step
CPU = torch.device("cpu")
HERE = {"torch": torch.__version__, "threads": 1, "device": "cpu"}


def one_of_each_experiment() -> dict[str, Path]:
    """The first record of each experiment that did not diverge and has a row early enough, of a CPU if there is one."""
    records: dict[str, Path] = {}
    for path in sorted(ROOT.glob("results/**/runs/[!.]*/metrics.csv"), key=lambda path: (of_a_gpu(path.parent), path)):
        status = json.loads((path.parent / "status.json").read_text())
        if status["state"] == "finished" and early_rows(path.parent):
            records.setdefault(status["experiment"], path.parent)
    return records


def of_a_gpu(record: Path) -> bool:
    return "gpu" in json.loads((record / "status.json").read_text()).get("conditions", {})


def early_rows(record: Path) -> list[dict[str, float]]:
    with open(record / "metrics.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [row for row in rows[:ROWS] if row["step"] <= LAST_STEP]


RECORDS = one_of_each_experiment()


def remembering(function: Callable) -> Callable:
    """A function that answers as this one, and remembers its last answer."""
    last = {}

    def answer(*arguments):
        if (key := repr(arguments)) not in last:
            last.clear()
            last[key] = function(*arguments)
        return last[key]

    return answer


@pytest.fixture(scope="module", autouse=True)
def data_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist, "read_split", remembering(mnist.read_split))
        patch.setattr(tiny_imagenet, "parts", remembering(tiny_imagenet.parts))
        yield


class StopAfter:
    """A request to stop that comes after a step; the run stays as long as it is configured, schedules and all."""

    def __init__(self, trainer: Trainer, step: float):
        self.trainer, self.step = trainer, step

    @property
    def signum(self) -> int | None:
        return signal.SIGTERM if self.trainer.step >= self.step else None


def same_kind_of_machine(status: dict) -> bool:
    """Whether arithmetic here is that of the record, every one of which comes from a processor with AVX-512."""
    capability = torch.backends.cpu.get_cpu_capability()
    return (
        status["processor"] == provenance()["processor"]
        and status["conditions"] == HERE
        and capability.startswith("AVX512")
    )


def amplifies(config: Config) -> bool:
    """Whether one update turns rounding into per cents, as batch normalisers between many ReLUs do."""
    return config.norm.name != "none" and config.model.nonlinearity == "relu"


def trained_again(record: Path, config: Config, rows: int, evaluated: bool, folder: Path) -> list[dict[str, float]]:
    """The first rows of the record's configuration, evaluated if asked for (of images only the first)."""
    directory = RunDirectory(folder / record.name)
    directory.create()
    data = build.dataset(config, CPU)
    session = Session(config, "python ...", [SeedRun(config.seed, directory)], data, CPU, ALONE)
    trainer, steps = session.trainer, [row["step"] for row in early_rows(record)[:rows]]
    look = trainer.look
    trainer.look = lambda step: look(step) if evaluated and (build.of_digits(config) or step == steps[0]) else [{}]
    trainer.train(StopAfter(trainer, steps[-1]))
    return session.members[0].rows


@pytest.mark.parametrize("experiment", RECORDS)
def test_first_steps_are_those_of_the_record(experiment, tmp_path):
    record = RECORDS[experiment]
    status = json.loads((record / "status.json").read_text())
    config = typed(OmegaConf.load(record / "config.yaml"))
    config.data.root = str(ROOT / "data" / ("mnist" if config.data.name == "mnist" else "tiny-imagenet-200"))
    config.runs_dir, config.device, config.logger.mode = str(tmp_path), "cpu", "disabled"
    try:
        assert load.fingerprint(config.data) == status["data_fingerprint"]
    except UserError as error:
        pytest.skip(str(error))
    exact = same_kind_of_machine(status)
    evaluated = exact or not (amplifies(config) or of_a_gpu(record))
    tolerance = 1e-5
    if of_a_gpu(record):
        tolerance = 0.15 if config.model.dropout else 2e-3
    committed = early_rows(record) if evaluated else early_rows(record)[:1]
    again = trained_again(record, config, len(committed), evaluated, tmp_path)
    assert len(again) == len(committed)
    for mine, theirs in zip(again, committed, strict=True):
        compared = mine.keys() - {"seconds"} if exact else [name for name in mine if name.endswith("/loss")]
        for name in compared:
            expected = theirs[name] if exact else pytest.approx(theirs[name], rel=tolerance)
            assert mine[name] == expected, f"{name} at step {mine['step']}"
