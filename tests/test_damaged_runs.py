"""Runs whose files were damaged: each is refused in one line that names the file, and nothing is lost."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from launches import SMALL, only_line


@pytest.fixture
def interrupted(door, environment) -> Path:
    """A run that has a checkpoint but no end."""
    assert door("train.py", *SMALL).returncode == 0
    (path,) = Path(environment["BNREPRO_RUNS"]).glob("bn-s0-*")
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))
    return path


def test_corrupt_checkpoints_are_refused_and_kept(door, interrupted):
    checkpoint = interrupted / "checkpoint.pt"
    good = checkpoint.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    for bad in (good[: len(good) // 2], b"", bytes(flipped)):
        checkpoint.write_bytes(bad)
        line = only_line(door("train.py", *SMALL))
        assert "is corrupt" in line and "move" in line
        assert checkpoint.read_bytes() == bad
    checkpoint.write_bytes(good)
    assert door("train.py", *SMALL).returncode == 0


def test_a_checkpoint_that_would_execute_code_is_refused(door, interrupted, tmp_path):
    class Payload:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"run": interrupted.name, "model": Payload()}, interrupted / "checkpoint.pt")
    assert "is corrupt" in only_line(door("train.py", *SMALL))
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_of_another_run_is_refused(door, environment, interrupted):
    other = door("train.py", *SMALL, "init.std=0.05")
    assert other.returncode == 0
    (path,) = [p for p in Path(environment["BNREPRO_RUNS"]).glob("bn-s0-*") if p != interrupted]
    shutil.copy(path / "checkpoint.pt", interrupted / "checkpoint.pt")
    assert f"is a checkpoint of {path.name}" in only_line(door("train.py", *SMALL))


@pytest.mark.parametrize(("text", "complaint"), [("{", "is not valid JSON"), ("[]", "is not a JSON object")])
def test_a_broken_status_is_refused(door, interrupted, text, complaint):
    (interrupted / "status.json").write_text(text)
    assert complaint in only_line(door("train.py", *SMALL))
    assert complaint in only_line(door("status.py"))


def test_a_broken_run_does_not_hide_the_others(door, interrupted):
    shutil.copytree(interrupted, interrupted.with_name("bn-s9-00000000"))
    (interrupted / "status.json").write_text("{")
    shown = door("status.py")
    assert shown.returncode == 2 and "is not valid JSON" in shown.stderr and "bn-s9-00000000" in shown.stdout


def _with_three_rows(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:4])


def _without_newline(text: str) -> str:
    return text[:-1]


def _with_another_number(text: str) -> str:
    return text.replace("0.", "0.9", 1)


def _with_a_row_twice(text: str) -> str:
    header, first, *rest = text.splitlines(keepends=True)
    return "".join([header, first, first, *rest[:-1]])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("metrics.csv", _with_three_rows),
        ("metrics.csv", _without_newline),
        ("metrics.csv", _with_another_number),
        ("metrics.csv", _with_a_row_twice),
        ("config.yaml", _with_another_number),
        ("config.yaml", None),
        ("status.json", None),
    ],
)
def test_what_a_checkpoint_builds_upon_must_be_as_it_was(door, interrupted, name, change):
    path = interrupted / name
    before = path.read_text()
    if change:
        path.write_text(change(before))
    else:
        path.unlink()
    line = only_line(door("train.py", *SMALL))
    assert str(path) in line and ("is not what it was" in line or "is missing" in line)
    path.write_text(before)
    assert door("train.py", *SMALL).returncode == 0


def test_a_record_under_another_name_does_not_count_as_finished(door, environment, interrupted):
    assert door("train.py", *SMALL).returncode == 0
    other = Path(environment["BNREPRO_RUNS"]) / interrupted.name.replace("-s0-", "-s1-")
    shutil.copytree(interrupted, other)
    line = only_line(door("train.py", *SMALL, "seed=1"))
    assert f"is a checkpoint of {interrupted.name}" in line
    (interrupted / "metrics.csv").unlink()
    assert "metrics.csv is not what it was" in only_line(door("train.py", *SMALL))


def test_something_in_the_place_of_the_lock_and_litter(door, interrupted):
    (interrupted / "lock").unlink()
    (interrupted / "lock").mkdir()
    assert "cannot be locked" in only_line(door("train.py", *SMALL))
    (interrupted / "lock").rmdir()
    litter = interrupted / ".status.json.123.tmp"
    litter.write_text("half")
    assert door("train.py", *SMALL).returncode == 0 and not litter.exists()
