"""Outputs that cannot be written: one line that names the file and says what to do, and a non-zero exit status."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from bnrepro.cli import benchmark, export, identities, predict, prepare_data, report, status
from bnrepro.cli.mistakes import exit_status
from bnrepro.config.overrides import with_runs
from bnrepro.errors import explain
from bnrepro.records.files import write_atomically
from conftest import ROOT
from launches import SMALL

RUN = ROOT / "results" / "figure1" / "paper"


@pytest.fixture
def blocker(tmp_path: Path) -> Path:
    """A file that is in the place of a folder."""
    path = tmp_path / "file"
    path.write_text("mine")
    shutil.make_archive(str(path), "zip", ROOT / "data" / "mnist")
    return path


def one_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    return lines[0]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (report, "figure1 --out {}/out"),
        (report, "figure1_tuning --out {}"),
        (report, "claims --out {}/out"),
        (report, "site --out {}/out"),
        (benchmark, "mnist --out {}/out.json"),
        (identities, "--out {}/out.json"),
        (export, f"{predict.SHIPPED} --out {{}}/out"),
        (export, f"{predict.SHIPPED} --out {{}}"),
        (prepare_data, f"mnist --source {ROOT / 'data' / 'mnist'} --root {{}}/mnist"),
        (prepare_data, "tiny_imagenet --source {}.zip --root {}/tiny"),
    ],
)
def test_a_file_in_the_way(script, words, blocker, capsys):
    assert script.main(words.replace("{}", str(blocker)).split()) == 2
    line = one_line(capsys.readouterr().err)
    assert line.startswith("error: ") and str(blocker) in line and "another folder" in line, line
    assert blocker.read_text() == "mine"


def test_a_file_in_the_way_of_a_sweep_and_of_an_evaluation(door, blocker, environment):
    place = {"BNREPRO_RUNS": str(blocker)}
    for words in (("train.py", "-m", *SMALL, "seed=0,1"), ("train.py", *SMALL), ("evaluate.py", "crops=1", str(RUN))):
        ended = door(*words, **place)
        line = one_line(ended.stdout + ended.stderr)
        assert ended.returncode in (1, 2) and (str(blocker) in line or words[0] == "evaluate.py"), line
    trained = door("train.py", *SMALL)
    assert trained.returncode == 0, trained.stderr
    (run,) = Path(environment["BNREPRO_RUNS"]).glob("bn-s0-*")
    ended = door("evaluate.py", str(run), f"out={blocker}/out")
    assert ended.returncode == 2 and str(blocker) in one_line(ended.stderr), ended.stderr


def test_a_full_disk_leaves_the_old_file(tmp_path, capsys):
    path = tmp_path / "table.md"
    path.write_text("old")

    def fails(file) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert exit_status(lambda: write_atomically(path, fails)) == 2
    assert one_line(capsys.readouterr().err) == (
        f"error: {path}: No space left on device; free some space, then run the same command again"
    )
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "read-only"),
        (errno.EACCES, "change its permissions"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EISDIR, "a folder is in the place of a file"),
        (errno.EIO, "run the same command again once this is mended"),
    ],
)
def test_every_refusal_has_a_remedy(number, remedy):
    line = explain(OSError(number, os.strerror(number), "out/figure.png"))
    assert line.startswith(f"out/figure.png: {os.strerror(number)}; ") and remedy in line


def test_of_a_copy_the_target_is_named(tmp_path):
    (tmp_path / "from").write_text("")
    with pytest.raises(OSError) as error:
        os.rename(tmp_path / "from", tmp_path / "missing" / "to")
    assert explain(error.value).startswith(f"{tmp_path}/missing/to: No such file")


def test_standard_output_that_takes_nothing(environment):
    command = [sys.executable, "scripts/status.py", "--committed"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert one_line(ended.stderr).startswith("error: the output: No space left on device; free some space")


def test_a_reader_that_ends_early_is_no_mistake(environment):
    command = f"{sys.executable} scripts/status.py --committed | head -n 1"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert not ended.stderr and len(ended.stdout.splitlines()) == 1


def test_status_of_an_unreadable_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "runs" / "a-s0-1" / "status.json").mkdir(parents=True)
    assert status.main(["--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]) == 2
    assert "a folder is in the place of a file" in one_line(capsys.readouterr().err)


def test_a_network_that_finds_no_place_is_one_line(tmp_path, monkeypatch, capsys):
    def full(*arguments, **options):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    assert export.main([str(predict.SHIPPED), "--out", str(tmp_path / "out")]) == 2
    assert "free some space" in one_line(capsys.readouterr().err)


def test_brackets_and_signs_in_the_names_of_folders(tmp_path, capsys):
    folder = tmp_path / "[a,b] c=d"
    shutil.copytree(predict.SHIPPED, folder / predict.SHIPPED.name)
    assert status.main(["--runs", str(folder), "--results", str(tmp_path)]) == 0
    assert str(folder) in capsys.readouterr().out.replace("\n", "")
    assert with_runs([str(folder), "crops=1"]) == ["crops=1", f"runs=['{folder}']"]
