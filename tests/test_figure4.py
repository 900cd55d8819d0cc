"""Trained networks used: alone, together, on other images, exported; and Figure 4 from its runs to its table."""

import json
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image

from bnrepro.analysis.figures import figure4, figure4_table
from bnrepro.analysis.reading.load import load_records
from bnrepro.cli import export, predict, report
from bnrepro.data import load
from bnrepro.errors import UserError
from bnrepro.training import experiment
from bnrepro.training.validation import typed
from bnrepro.use.ensemble import METHODS, calibration, combine, rank_of_label, subsets
from bnrepro.use.evaluate import evaluate
from bnrepro.use.multicrop import Predictions
from bnrepro.use.trained import check_together, trained
from conftest import ROOT, compose_config

CPU = torch.device("cpu")
SHORT = ("scale=smoke", "scale.imagenet.images_per_class=4", "training.steps=16", "evaluation.population_batches=2")
QUIET = ("logger.mode=disabled", "probe=none")


def train(runs, *overrides: str) -> str:
    (outcome,) = experiment.run(typed(compose_config(*SHORT, *QUIET, f"runs_dir={runs}", *overrides)), "python ...")
    assert outcome.state == "finished", outcome.message
    return outcome.name


def ask(*overrides: str) -> None:
    evaluate(compose_config("logger.mode=disabled", *overrides, config="evaluate"), "python scripts/evaluate.py")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The six networks, four steps each, on forty digits."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("figure4") / "runs"
    for member in figure4.MEMBERS:
        train(folder, f"experiment=figure4/{member}")
    return folder


def random_predictions(seed: int, images: int = 40, classes: int = 7) -> Predictions:
    logits = np.random.default_rng(seed).normal(0, 2, (images, classes)).astype(np.float32)
    exponentials = np.exp(logits)
    return Predictions(exponentials / exponentials.sum(1, keepdims=True), logits)


LABELS = np.random.default_rng(99).integers(0, 7, 40)


def test_an_ensemble_of_one_is_the_network():
    one = random_predictions(0)
    ranks = [rank_of_label(combine([one], method), LABELS) for method in METHODS]
    own = rank_of_label(one.probabilities, LABELS)
    assert all((rank == own).all() for rank in ranks)
    assert (own >= 1).all() and (own <= 7).all() and len(set(own)) > 3


def test_copies_of_a_network_change_nothing_and_order_does_not_matter():
    one, two, three = random_predictions(0), random_predictions(1), random_predictions(2)
    for method in METHODS:
        alone, copies = combine([one], method), combine([one, one, one], method)
        assert (alone.argsort(1) == copies.argsort(1)).all()
        assert np.allclose(combine([one, two, three], method), combine([three, one, two], method))


def test_means_and_votes_by_hand():
    a = Predictions(np.array([[0.6, 0.3, 0.1]]), np.array([[3.0, 0.0, 0.0]]))
    b = Predictions(np.array([[0.1, 0.5, 0.4]]), np.array([[0.0, 1.0, 0.0]]))
    c = Predictions(np.array([[0.0, 0.49, 0.51]]), np.array([[0.0, 0.0, 5.0]]))
    assert np.allclose(combine([a, b, c], "mean"), [[0.7 / 3, 1.29 / 3, 1.01 / 3]])
    assert np.allclose(combine([a, b, c], "logits"), [[1, 1 / 3, 5 / 3]])
    assert combine([a, b, c], "vote").argmax() == 1  # a vote each: the mean probability decides
    assert combine([a, a, c], "vote").argmax() == 0
    assert rank_of_label(np.array([[0.2, 0.2, 0.6], [np.nan] * 3]), np.array([0, 0])).tolist() == [3, 3]


def test_every_k_of_six_is_there_once():
    every_subset = list(subsets(6))
    assert len(every_subset) == len(set(every_subset)) == 63
    assert [sum(len(chosen) == k for chosen in every_subset) for k in range(1, 7)] == [6, 15, 20, 15, 6, 1]
    assert set(every_subset) == {chosen for k in range(1, 7) for chosen in combinations(range(6), k)}
    assert len(list(subsets(13))) == 14


def test_calibration_by_hand():
    """Two images at confidence 0.72, one right, and one at 0.95, right: ECE = (2 * 0.22 + 0.05) / 3."""
    probabilities = np.array([[0.72, 0.28], [0.28, 0.72], [0.95, 0.05]])
    bins_of_confidence = calibration(probabilities, np.array([0, 0, 0]), bins=10)
    assert bins_of_confidence["ece"] == pytest.approx((2 * 0.22 + 0.05) / 3)
    assert bins_of_confidence["images"] == [0, 0, 0, 0, 0, 0, 0, 2, 0, 1]
    assert bins_of_confidence["accuracy"][7:] == [0.5, None, 1.0]


def test_intervals_and_tests_over_images():
    first = np.array([1.0] * 30 + [0.0] * 70)
    second = np.array([1.0] * 15 + [0.0] * 85)
    error = figure4.over_images(first)
    assert error.mean == 0.3 and 0.19 < error.low < 0.24 and 0.37 < error.high < 0.41  # binomial: 0.30 +- 0.09
    assert figure4.mcnemar(first, second) == pytest.approx(2 * 0.5**15)
    assert figure4.mcnemar(first, first) == 1.0


def test_figure_4_from_its_runs_to_its_table(runs, tmp_path, capsys):
    results = tmp_path / "results"
    options = ("scale=smoke", f"results_dir={results}", "publish=true", f"runs_dir={runs}")
    ask(*options)
    printed = capsys.readouterr().out
    assert "all 6, mean" in printed and "figure4/smoke" in printed
    evaluation = figure4.evaluation(results, "smoke")
    assert evaluation.count == 6 and evaluation.images == 40 and len(evaluation.subsets) == 63 * 3 * 3
    members = load_records(runs)
    for k, member in enumerate(members, 1):  # one crop is what the run itself was judged by
        assert evaluation.wrong(1, (k,)).mean() == pytest.approx(1 - member.status["final"]["val/top1"])
    everyone = evaluation.subsets[(evaluation.subsets["size"] == 6) & (evaluation.subsets["crops"] == 144)].set_index(
        "method"
    )
    for method in METHODS:
        assert everyone.loc[method, "top1"] == 40 - evaluation.all_wrong(144, method).sum()
        assert everyone.loc[method, "top5"] == 40 - evaluation.all_wrong(144, method, top=5).sum()
    text = str(figure4_table.page(evaluation, members))
    assert "misprint for 4.82" in text and "| 25.2 | 7.82 |" in text
    kept = {path: path.stat().st_mtime_ns for path in runs.glob("*/predictions/*.npz")}
    assert len(kept) == 18
    written = (results / "figure4" / "smoke" / "subsets.csv").read_bytes()
    ask(*options)
    assert written == (results / "figure4" / "smoke" / "subsets.csv").read_bytes()
    assert kept == {path: path.stat().st_mtime_ns for path in runs.glob("*/predictions/*.npz")}  # nothing asked twice
    where = ["--scale", "smoke", "--results", str(results), "--out", str(tmp_path / "figure")]
    assert report.main(["figure4", *where]) == 2  # the networks' own records are not there
    assert "no record of member1" in capsys.readouterr().err
    assert report.main(["figure4", *where, "--records", str(runs)]) == 0
    assert (tmp_path / "figure" / "table.md").read_text() == text


def test_bad_requests_get_one_line(runs, tmp_path):
    one = sorted(runs.glob("member*"))[0]
    for words, expected in (
        (
            ["scale=smoke", f"runs_dir={tmp_path}"],
            "python scripts/train.py -m experiment=figure4/member1,.*figure4/member6 scale=smoke",
        ),
        (["crops=7"], "crops=7 is not one of 1, 10, 144"),
        (["crops=[1,ten]"], "crops=ten is not one of"),
        (["threads=many"], "threads"),
        (["device=gpu"], "device=gpu is not one of cpu, cuda"),
        (["logger.mode=on"], "logger.mode=on is not one of auto, online"),
        (["runs=[nowhere]"], "no run in nowhere"),
        ([f"runs=[{one},{one}]"], "the same network is there twice"),
        ([f"runs=[{one}]", "publish=true"], "publish=true is for Figure 4"),
        ([f"runs=[{one}]", f"images={tmp_path}"], "no images in"),
    ):
        with pytest.raises(UserError, match=expected) as error:
            ask(*words)
        assert "\n" not in str(error.value)


def test_other_images_than_those_of_the_runs_own_data_are_refused(runs, tmp_path, monkeypatch):
    run = next(runs.glob("member1*"))
    monkeypatch.setattr(load, "fingerprint", lambda data: "another")
    with pytest.raises(UserError, match=f"{tmp_path} is not the data set that {run.name} was trained on"):
        ask(f"runs=[{run}]", f"root={tmp_path}")


def test_the_door_turns_a_mistake_into_a_line(door):
    done = door("evaluate.py", "scale=huge")
    assert done.returncode == 2 and "unknown scale=huge" in done.stderr and "Traceback" not in done.stderr


def test_networks_that_do_not_belong_together_are_refused(runs, tmp_path):
    first, second = (trained(path, CPU) for path in sorted(runs.glob("member*"))[:2])
    check_together([first, second], same_data=True)
    tuned = trained(tmp_path / train(tmp_path, "experiment=figure4/member1", "data.split=tune"), CPU)
    with pytest.raises(UserError, match="judged on different images"):
        check_together([first, tuned], same_data=True)
    check_together([first, tuned], same_data=False)
    second.classes.append(["10", "ten"])
    with pytest.raises(UserError, match=r"do not know the same classes \(10 and 11\)"):
        check_together([first, second], same_data=False)


def test_runs_that_cannot_be_used_say_why(runs, tmp_path):
    directory = tmp_path / train(tmp_path, "experiment=figure4/member2")
    (directory / "checkpoint.pt").rename(directory / "elsewhere")
    with pytest.raises(UserError, match=r"checkpoint of .* is gone; .* move .* run: python"):
        trained(directory, CPU)
    status = json.loads((directory / "status.json").read_text())
    (directory / "status.json").write_text(json.dumps(status | {"state": "interrupted", "step": 3}))
    with pytest.raises(UserError, match="is interrupted at step 3"):
        trained(directory, CPU)
    white = tmp_path / train(tmp_path, "experiment=figure1/bn", "training.steps=4", "data.inputs=whitened")
    with pytest.raises(UserError, match="was trained on whitened images, which a picture cannot be made to be"):
        trained(white, CPU)


@pytest.fixture
def pictures(tmp_path):
    """Pictures of several shapes and kinds in folders by class."""
    rng = np.random.default_rng(0)
    for name, shape, mode in (("3/a.png", (40, 60), "L"), ("3/b.jpg", (50, 50, 3), "RGB"), ("5/c.png", (64, 48), "L")):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8), mode).save(path)
    return tmp_path / "pictures"


def test_any_folder_of_pictures(runs, pictures, tmp_path):
    names = ",".join(str(path) for path in sorted(runs.glob("member*"))[:2])
    ask(f"runs=[{names}]", f"images={pictures}", "crops=10", f"out={tmp_path / 'labelled'}")
    info = json.loads((tmp_path / "labelled" / "evaluation.json").read_text())
    assert info["images"] == 3 and info["crops"] == [10]
    (pictures / "3").rename(pictures / "three")
    with pytest.raises(UserError, match="three: not a class"):
        ask(f"runs=[{names}]", f"images={pictures}", "crops=1")


def test_predict_prints_five_names_and_probabilities(runs, pictures, capsys):
    one, two = sorted(runs.glob("member*"))[:2]
    paths = [str(pictures / name) for name in ("3/b.jpg", "5/c.png")]
    assert predict.main([str(one), str(two), *paths]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.split()[0].isdigit()]
    assert len(rows) == 10
    for answers in (rows[:5], rows[5:]):
        probabilities = [float(p) for _, p in answers]
        assert probabilities == sorted(probabilities, reverse=True) and 0.5 < sum(probabilities) <= 1.0001
    assert predict.main([str(one), "nothing.jpg"]) == 2
    assert "no image nothing.jpg" in capsys.readouterr().err


LOAD = """
import sys, bnrepro.models.registered, timm, torch
model = timm.create_model("local-dir:" + sys.argv[1], pretrained=True).eval()
assert not [name for name in sys.modules if name.startswith(("bnrepro.training", "bnrepro.data", "hydra"))]
config = timm.data.resolve_data_config({}, model=model)
assert [*config["input_size"], *config["mean"]] == [3, 32, 32, 0.5, 0.5, 0.5], config
torch.save(model(torch.load(sys.argv[2])), sys.argv[3])
"""


def test_an_export_is_loaded_by_timm_alone(runs, tmp_path, capsys):
    run = next(runs.glob("member4*"))  # with a per-activation last module
    assert export.main([str(run), "--out", str(tmp_path / "export")]) == 0
    assert {path.name for path in (tmp_path / "export").iterdir()} == {
        *("config.json", "model.safetensors", "run.config.yaml", "run.status.json")
    }
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    torch.save(images, tmp_path / "images.pt")
    arguments = [str(tmp_path / name) for name in ("export", "images.pt", "logits.pt")]
    subprocess.run([sys.executable, "-c", LOAD, *arguments], check=True, cwd=ROOT)
    with torch.no_grad():
        expected = trained(run, CPU).network(images)
    assert torch.allclose(torch.load(tmp_path / "logits.pt"), expected, atol=1e-5)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert export.main([str(run), "--out", str(tmp_path / "full")]) == 2
    assert "is not empty and no export" in capsys.readouterr().err
