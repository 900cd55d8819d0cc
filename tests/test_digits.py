"""The MNIST networks of Figure 1 used as any other: evaluated, asked about pictures, exported; how runs are named."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bnrepro.cli import export, predict, swap_statistics
from bnrepro.config.overrides import with_runs
from bnrepro.data.mnist import EDGE, read_split
from bnrepro.data.pictures import as_digit
from bnrepro.errors import UserError
from bnrepro.records.named import find_runs
from bnrepro.training import experiment
from bnrepro.use import evaluate
from bnrepro.use.trained import trained
from conftest import ROOT, compose_config, config_of

CPU = torch.device("cpu")
MNIST = ROOT / "data" / "mnist"
SHORT = ("scale=smoke", "logger.mode=disabled", "probe=none", "evaluation.log_points_per_decade=1")
KINDS = {
    "bn": ("experiment=figure1/bn", "training.steps=150"),
    "rnn": ("experiment=claims/recurrent", "norm=bn", "training.steps=20", "model.hidden=[8]"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("digits") / "runs"
    for words in KINDS.values():
        (outcome,) = experiment.run(config_of(*words, *SHORT, f"runs_dir={folder}"), "python scripts/train.py")
        assert outcome.state == "finished", outcome.message
    return folder


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    return read_split(MNIST, "full")[1]


def of(runs: Path, kind: str) -> Path:
    (found,) = runs.glob("bn-s0-*" if kind == "bn" else "rec*-s0-*")
    return found


def ask(*overrides: str) -> None:
    composed = compose_config("logger.mode=disabled", f"root={MNIST}", *overrides, config="evaluate")
    evaluate.evaluate(composed, "python scripts/evaluate.py")


@pytest.mark.parametrize("kind", KINDS)
def test_evaluated_it_is_as_good_as_its_record_says(runs, kind, tmp_path):
    run = of(runs, kind)
    ask(f"runs=[{run}]", f"out={tmp_path}")
    info = json.loads((tmp_path / "evaluation.json").read_text())
    assert info["crops"] == [1] and info["images"] == 10_000
    final = json.loads((run / "status.json").read_text())["final"]  # of the second on its tuning split
    rows = {row["method"]: row for row in csv.DictReader((tmp_path / "subsets.csv").open())}
    assert int(rows["logits"]["top1"]) / 10_000 == next(
        value for name, value in final.items() if name.endswith("/top1")
    )


def pictures(folder: Path, digit: np.ndarray) -> list[Path]:
    """A digit as it is, as a JPEG, four times as wide, and as ink on wide paper in colour."""
    folder.mkdir()
    large = np.kron(digit, np.ones((4, 4), np.uint8))
    paper = np.pad(255 - large, ((0, 0), (20, 20)), constant_values=255)
    kinds = {"as_it_is.png": digit, "photo.jpg": digit, "large.png": large, "ink.png": np.dstack([paper] * 3)}
    for name, picture in kinds.items():
        Image.fromarray(picture).save(folder / name, quality=95)
    return [folder / name for name in kinds]


def test_pictures_of_a_digit_are_read(runs, digits, tmp_path, capsys):
    images, labels = digits
    binary = torch.from_numpy((images[:200] > 127).reshape(200, -1)).float()
    network = trained(of(runs, "bn"), CPU).network
    with torch.no_grad():
        answers = network.network(binary[None])[0].T.argmax(1).numpy()
    assert (answers == labels[:200]).mean() > 0.7
    for k in np.flatnonzero(answers == labels[:200])[:4]:
        paths = pictures(tmp_path / str(k), images[k])
        assert predict.main([str(of(runs, "bn")), *map(str, paths)]) == 0
        told = capsys.readouterr()
        rows = [line.split() for line in told.out.splitlines()]
        best = [rows[i + 1][0] for i, row in enumerate(rows) if row[-1:] == ["probability"]]
        assert len(best) == 4 and best[:3] == [str(labels[k])] * 3, told.out
        assert "1 of 4 pictures are dark on light, and were inverted: MNIST's digits are white on black" in told.err
        with torch.no_grad():
            seen = torch.from_numpy(images[k] / 127.5 - 1).float().expand(1, 3, -1, -1)
            assert network(seen).argmax().item() == labels[k]


def test_a_picture_becomes_a_digit(digits):
    digit = digits[0][0]
    colour = np.dstack([digit] * 3)
    same, inverted = as_digit(colour)
    assert (same == digit).all() and not inverted
    same, inverted = as_digit(255 - colour)
    assert (same == digit).all() and inverted
    wide, _ = as_digit(np.pad(255 - colour, ((0, 0), (14, 14), (0, 0)), constant_values=255))
    assert wide.shape == (28, 28) and not wide[:5].any() and wide.max() > 127  # made square, with paper above and below
    assert round((28 + 2 * EDGE) * 0.875) == 28


def test_a_folder_of_pictures_is_scored(runs, digits, tmp_path, capsys):
    images, labels = digits
    for k in range(40):
        path = tmp_path / "pictures" / str(labels[k]) / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[k] if k % 2 else 255 - images[k]).save(path)
    ask(f"runs=[{of(runs, 'bn')}]", f"images={tmp_path / 'pictures'}", f"out={tmp_path}", "crops=1")
    assert "20 of 40 pictures are dark on light" in capsys.readouterr().err
    right = int(next(csv.DictReader((tmp_path / "subsets.csv").open()))["top1"])
    network = trained(of(runs, "bn"), CPU).network
    with torch.no_grad():
        seen = torch.from_numpy(images[:40] / 127.5 - 1).float()[:, None].expand(-1, 3, -1, -1)
        assert right == (network(seen).argmax(1).numpy() == labels[:40]).sum()


def test_folders_of_one_name_are_evaluated_into_different_folders(runs, digits, tmp_path):
    run = of(runs, "bn")
    for k in range(2):
        path = tmp_path / str(k) / "test" / str(digits[1][k]) / "digit.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(digits[0][k]).save(path)
        ask(f"runs=[{run}]", f"images={tmp_path / str(k) / 'test'}", f"runs_dir={tmp_path}")
    names = sorted(path.name for path in (tmp_path / "evaluations").iterdir())
    assert len(names) == 2 and all(name.startswith(f"{run.name}-test-") for name in names)
    ask(f"runs=[{run}]", f"runs_dir={tmp_path}")
    assert (tmp_path / "evaluations" / run.name / "evaluation.json").is_file()


LOAD = """
import sys, bnrepro.models.registered, timm, torch
model = timm.create_model("local-dir:" + sys.argv[1], pretrained=True).eval()
config = timm.data.resolve_data_config({}, model=model)
assert [*config["input_size"], config["crop_pct"], *config["mean"]] == [3, 28, 28, 1.0, 0.5, 0.5, 0.5], config
torch.save(model(torch.load(sys.argv[2])), sys.argv[3])
"""


def test_an_export_of_each_is_loaded_by_timm_alone(runs, tmp_path, capsys):
    assert export.main([str(runs / "*-s0-*"), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("timm.create_model('local-dir:") == len(KINDS)
    images = torch.rand(4, 3, 28, 28) * 2 - 1
    torch.save(images, tmp_path / "images.pt")
    for kind in KINDS:
        words = [tmp_path / name for name in (of(runs, kind).name, "images.pt", "logits.pt")]
        subprocess.run([sys.executable, "-c", LOAD, *words], check=True, cwd=ROOT)
        with torch.no_grad():
            expected = trained(of(runs, kind), CPU).network(images)
        assert torch.allclose(torch.load(tmp_path / "logits.pt"), expected, atol=1e-5)


def test_what_cannot_be_asked_of_digits(runs, tmp_path, capsys):
    run = of(runs, "bn")
    with pytest.raises(UserError, match="reads whole digits; leave crops out"):
        ask(f"runs=[{run}]", "crops=10")
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    for main, words, said in (
        (predict.main, [run, tmp_path / "a.png", "--crops", "10"], "reads whole digits; leave --crops out"),
        (predict.main, [run], "which pictures? name them after the run"),
        (predict.main, ["x-*", tmp_path / "a.png"], "no run is called x-*"),
        (swap_statistics.main, [run], "does not read small pictures; choose runs of Inception"),
        (swap_statistics.main, ["x-*"], "no run is called x-*"),
        (export.main, ["x-*"], "no run is called x-*"),
    ):
        assert main([str(word) for word in words]) == 2
        told = capsys.readouterr().err
        assert said in told and told.count("\n") == 1, told


def test_runs_are_named_by_directory_name_or_pattern(runs, monkeypatch):
    bn, rnn = of(runs, "bn"), of(runs, "rnn")
    monkeypatch.setenv("BNREPRO_RUNS", str(runs))
    assert find_runs([bn, bn.name, "bn-s*", f"{runs}/*-s0-*", "nowhere"]) == [bn, bn, bn, bn, rnn, Path("nowhere")]
    words = ["runs/A", "crops=1", "bn-s*", "--cfg", "job"]
    assert with_runs(words) == ["crops=1", "--cfg", "job", "runs=['runs/A','bn-s*']"]
    assert with_runs(["runs=[a]", "-c", "job"]) == ["runs=[a]", "-c", "job"]
    with pytest.raises(UserError, match="name the runs in one way"):
        with_runs(["a", "runs=[b]"])


def test_the_door_evaluates_runs_by_their_place(runs, door, tmp_path):
    words = (of(runs, "bn").name, "logger.mode=disabled", f"out={tmp_path}", f"root={MNIST}")
    done = door("evaluate.py", *words, BNREPRO_RUNS=str(runs))
    assert done.returncode == 0 and "top-1 error" in done.stdout, done.stderr
    assert json.loads((tmp_path / "evaluation.json").read_text())["runs"] == [of(runs, "bn").name]
    wrong = door("evaluate.py", "nowhere", BNREPRO_RUNS=str(runs))
    assert (
        wrong.returncode == 2 and wrong.stderr == "error: no run in nowhere; python scripts/status.py lists the runs\n"
    )
