"""What a user can get wrong: one clear line that says what to do, a non-zero exit, nothing lost."""

import gzip
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bnrepro.cli import report
from bnrepro.config.overrides import check
from bnrepro.data.mnist import FILES, read_idx
from bnrepro.errors import UserError
from conftest import ROOT, config_of
from launches import SMALL, only_line

MNIST = ROOT / "data" / "mnist"


@pytest.fixture
def mnist_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MNIST, tmp_path / "mnist"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("experiment=figure1/bnn",), "unknown experiment=figure1/bnn; did you mean figure1/bn?"),
        (("experiment=figure1/bn", "norm=batchnorm"), "unknown norm=batchnorm"),
        (
            ("experiment=figure1/bn", "optimizer.base_lrr=1"),
            "unknown key optimizer.base_lrr; did you mean optimizer.",
        ),
        (("experiment=figure1/bn", "sede=1"), "unknown key sede; did you mean seed?"),
        (("experiment=figure1/bn", "lr=1"), "unknown key lr; known: optimizer.base_lr, optimizer.lr_multiplier"),
        (("experiment=figure1/bn", "seed=0,1"), "Ambiguous value for argument 'seed=0,1'"),
        (("-m", "experiment=figure1/bn", "optimizer.base_lrr=1"), "unknown key optimizer.base_lrr; did you mean opt"),
        (("-m", "experiment=figure1/bn", "hydra/launcher=jblib"), "unknown hydra/launcher=jblib; did you mean joblib?"),
        (
            ("-m", "experiment=figure1/bn,figure1/plian"),
            "experiment=figure1/plian; did you mean figure1/plain?",
        ),
        (("experiment=figure1/bn", "seed="), "seed"),
        ((), "which experiment?"),
        (("experiment=figure1/plain", "norm.eps=1"), "error: norm.eps: the chosen norm has no eps; leave it out"),
        (("experiment=figure1/bn", "norm.name=bm"), "unknown normaliser norm.name=bm; did you mean bn?"),
        (("experiment=figure1/bn", "device=cuda:99"), "try device=cpu"),
        (("-m", "experiment=figure1/bn", "seed=0,x"), "seed"),
        (("-m", "sweep=figure3"), "unknown sweep=figure3; did you mean figure"),
        (("sweep=figure1",), "sweep=NAME is many runs; add -m"),
        (("-m", "sweep=figure1", "--cfg", "job"), "--cfg shows what one run would be; leave -m out"),
        (("-m", "experiment=figure1/bn", "hydra/launcher=gpu_queue"), "finds no GPU here"),
        (("experiment=figure1/bn", "training.batch_size=700"), "such as evaluation.population_batches=85"),
    ],
)
def test_slips_on_the_command_line(door, arguments, message):
    assert message in only_line(door("train.py", *arguments))


@pytest.mark.parametrize("word", ["~training", "experiment=null", "scale=null"])
def test_what_would_be_taken_away(word):
    with pytest.raises(UserError, match=f"{word} would take away what a run needs"):
        check(["experiment=figure1/bn", word])


def test_help_lists_what_a_run_can_choose_and_no_claims(door):
    text = door("train.py", "--help").stdout
    assert "\nnorm: bn, bn_reference, " in text and "figure1/plain_best" in text and "\n  base_lr: " in text
    assert "C01" not in text and "\nclaims:" not in text


def test_data_missing(door, mnist_copy):
    (mnist_copy / "t10k-labels-idx1-ubyte.gz").unlink()
    line = only_line(door("train.py", *SMALL, f"data.root={mnist_copy}"))
    assert "is missing" in line and "scripts/prepare_data.py mnist" in line


def test_data_with_another_checksum(door, mnist_copy):
    path = mnist_copy / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1] + b"\0"))
    line = only_line(door("train.py", *SMALL, f"data.root={mnist_copy}"))
    assert "has contents of checksum" in line and "scripts/prepare_data.py mnist" in line


def test_data_that_is_not_what_it_says(tmp_path):
    name = "t10k-labels-idx1-ubyte.gz"
    packed, path = (MNIST / name).read_bytes(), tmp_path / name
    content = gzip.decompress(packed)
    for bad, message in (
        (gzip.compress(b"\0\0\x0d" + content[3:]), "has contents of checksum"),
        (gzip.compress(content[:6]), "has contents of checksum"),
        (packed[:2000], "truncated or not gzip"),
        (b"not gzip at all", "truncated or not gzip"),
    ):
        path.write_bytes(bad)
        with pytest.raises(UserError, match=message):
            read_idx(path, *FILES[name])


def test_prepare_data_takes_and_verifies(door, tmp_path, mnist_copy):
    """Who compressed the files does not matter: the database's own differ from those that ship here by that alone."""
    for path in mnist_copy.glob("*.gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=1))
    good = door("prepare_data.py", "mnist", "--source", str(mnist_copy), "--root", str(tmp_path / "new"))
    assert good.returncode == 0 and "60,000 training" in good.stdout
    (mnist_copy / "t10k-images-idx3-ubyte.gz").write_bytes(b"bad")
    line = only_line(door("prepare_data.py", "mnist", "--source", str(mnist_copy), "--root", str(tmp_path / "new")))
    assert "is truncated or not gzip" in line
    assert door("prepare_data.py", "mnist", "--root", str(tmp_path / "new")).returncode == 0  # the old ones are intact


@pytest.mark.parametrize(
    ("experiment", "words", "message"),
    [
        ("figure1/bn", ["seeds=[[0]]"], "must be a plain list"),
        ("figure2/bn_x5", ["data.classes=1"], "nothing to tell apart"),
        ("figure2/bn_x5", ["data.classes=5"], "data.name=mnist always has its ten classes; leave data.classes at 0"),
        ("figure2/bn_x5", ["model.aux_weight=1"], "model.aux=false has no model.aux_weight; leave it at 0.3"),
        ("figure1/bn", ["+data.classes=5"], "data.name=mnist always has its ten classes; leave data.classes at 0"),
        ("figure1/bn", ["+data.images_per_class=5"], "model=mlp reads all digits; leave data.images_per_class at 0"),
        ("figure1/bn", ["augment=googlenet"], "model=mlp reads whole digits; leave augment at none"),
        ("figure2/bn_x5", ["data.pixels=1"], "must be at least 8"),
        ("figure2/bn_x5", ["model=mlp"], "with model=mlp choose another figure="),
    ],
)
def test_values_that_make_no_run(experiment, words, message):
    with pytest.raises(UserError, match=message):
        config_of(f"experiment={experiment}", "scale=smoke", *words)


def test_folders_that_are_none(door, tmp_path):
    (tmp_path / "file").write_text("")
    for word in ("--results", "--records"):
        assert "is not a folder" in only_line(door("report.py", "figure1", word, str(tmp_path / "file")))
    assert "is not a folder" in only_line(door("status.py", "--runs", str(tmp_path / "file")))


def test_a_runs_directory_that_cannot_be_written(door, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    for place in (blocker / "runs", Path("/proc/runs")):
        line = only_line(door("train.py", *SMALL, BNREPRO_RUNS=str(place)))
        assert "cannot write to" in line and "BNREPRO_RUNS" in line


def test_a_full_disk_fails_the_run_and_keeps_what_there_was(environment):
    """A limit on the size of files stands in for the disk: the next checkpoint cannot be written."""
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *SMALL]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    line = only_line(done)
    assert done.returncode == 1 and "failed (" in line and "checkpoint.pt: File too large; raise the limit" in line
    assert line.endswith("traceback.txt")
    (path,) = Path(environment["BNREPRO_RUNS"]).glob("bn-s0-*")
    assert json.loads((path / "status.json").read_text())["state"] == "failed"
    assert not list(path.glob("*.tmp")) and not list(path.glob(".*.tmp"))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not json.loads((path / "status.json").read_text())["error"] and not (path / "traceback.txt").exists()


def test_report_without_records(door, tmp_path):
    line = only_line(door("report.py", "figure1", "--records", str(tmp_path), "--out", str(tmp_path / "out")))
    assert "no complete record of plain, bn" in line
    assert "scripts/train.py -m experiment=figure1/plain,figure1/bn scale=paper" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "figure2 --records {}",
            "no complete record of inception, bn_baseline; run python scripts/train.py -m experiment=figure2/",
        ),
        ("figure2 --records {} --scale tiny64", "experiment=figure2/inception,figure2/bn_baseline scale=tiny64"),
        ("figure2_tuning --records {}", "run python scripts/train.py -m sweep=figure2_base_rate scale=laptop"),
        ("figure4 --records {} --scale mini", "run: python scripts/evaluate.py scale=mini"),
        ("figure3", "figure3 is the table of figure2; run python scripts/report.py figure2"),
        ("c07", "c07: all claims are judged by python scripts/report.py claims; see results/claims.md"),
        ("figure11", "no report figure11; did you mean figure1? known: figure1, figure1_tuning, figure2"),
    ],
)
def test_reports_that_cannot_be(words, message, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")] if "{}" in words else []
    assert report.main([*words.format(tmp_path).split(), *out]) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1 and not (tmp_path / "out").exists(), printed


def test_the_notebooks_door_helps_before_it_runs_anything(door):
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "notebooks").iterdir()}
    helped, wrong = door("notebooks.py", "--help"), door("notebooks.py", "figure9")
    assert helped.returncode == 0 and "figure1, figure2_3" in " ".join(helped.stdout.split())
    assert wrong.returncode == 2 and "no notebook figure9; there are claims, figure1" in wrong.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (ROOT / "notebooks").iterdir()}
