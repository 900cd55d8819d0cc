"""Tiny-ImageNet: its preparation, its split, and what is refused."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnrepro.config.schema import Data
from bnrepro.data import tiny_imagenet
from bnrepro.data.archives import fetch, unpack
from bnrepro.errors import UserError
from conftest import ROOT
from fake_photographs import photograph


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


class AnyDigest(str):
    def startswith(self, *arguments) -> bool:
        return True


@pytest.fixture
def small(monkeypatch) -> None:
    """Tiny-ImageNet's layout with 8 classes of 10 training images and 2 validation images, whatever is in them."""
    monkeypatch.setattr(tiny_imagenet, "DIGEST", AnyDigest())
    monkeypatch.setattr(tiny_imagenet, "CLASSES", 8)
    monkeypatch.setattr(tiny_imagenet, "PER_CLASS", {"train": 10, "val": 2})


def layout(root: Path) -> Path:
    """The official layout with generated images; every other one of class 0 is grey."""
    wnids = [f"n{k:08}" for k in (3, 1, 2, 0, 7, 6, 5, 4)]
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (root / "words.txt").write_text("".join(f"{wnid}\tthing {wnid}\n" for wnid in [*wnids, "n99999999"]))
    rows = []
    for wnid in wnids:
        (root / "train" / wnid / "images").mkdir(parents=True)
        for k in range(10):
            pixels = photograph(100 * int(wnid[1:]) + k)
            pixels = pixels[..., 0] if wnid == "n00000000" and k % 2 else pixels
            (root / "train" / wnid / "images" / f"{wnid}_{k}.JPEG").write_bytes(jpeg(pixels))
    for k in range(16):
        (root / "val" / "images" / f"val_{k}.JPEG").write_bytes(jpeg(photograph(5000 + k)))
        rows.append(f"val_{k}.JPEG\t{wnids[k % 8]}\t0\t0\t62\t62")
    (root / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    return root


def test_prepared_from_a_folder(small, tmp_path):
    source, root = layout(tmp_path / "source"), tmp_path / "root"
    said = tiny_imagenet.prepare(root, source)
    assert "80 training and 16 validation images, 8 classes" in said
    told = tiny_imagenet.index(root)
    assert told["wnids"] == sorted(told["wnids"]) and told["names"][3] == "thing n00000003"
    (images, labels), (held_out, held_labels) = tiny_imagenet.parts(Data("tiny_imagenet", str(root), "full", classes=0))
    assert images.shape == (80, 3, 64, 64) and np.bincount(labels).tolist() == [10] * 8
    assert held_out.shape == (16, 3, 64, 64) and np.bincount(held_labels).tolist() == [2] * 8
    decoded = Image.open(source / "train" / "n00000002" / "images" / "n00000002_3.JPEG").convert("RGB")
    np.testing.assert_array_equal(images[23], np.asarray(decoded).transpose(2, 0, 1))
    assert (images[1][0] == images[1][1]).all()  # grey
    assert "prepared before" in tiny_imagenet.prepare(root, source)


def test_classes_are_evenly_spaced_and_the_split_is_of_training_images_alone(small, tmp_path):
    root = tmp_path / "root"
    tiny_imagenet.prepare(root, layout(tmp_path / "source"))
    (whole, _), _ = tiny_imagenet.parts(Data("tiny_imagenet", str(root), "full", classes=0))
    (images, labels), _ = tiny_imagenet.parts(Data("tiny_imagenet", str(root), "full", classes=2))
    np.testing.assert_array_equal(images, np.concatenate([whole[:10], whole[40:50]]))
    assert labels.tolist() == [0] * 10 + [1] * 10
    (root / "decoded" / "val.npy").unlink()  # a tuning run has no use for it
    (kept, kept_labels), (tune, tune_labels) = tiny_imagenet.parts(Data("tiny_imagenet", str(root), "tune", classes=2))
    assert np.bincount(kept_labels).tolist() == [9, 9] and np.bincount(tune_labels).tolist() == [1, 1]
    together = sorted(image.tobytes() for image in [*kept, *tune])
    assert together == sorted(image.tobytes() for image in images)
    with pytest.raises(UserError, match=r"data\.classes=9, but the data set has 8"):
        tiny_imagenet.parts(Data("tiny_imagenet", str(root), "full", classes=9))


@pytest.mark.parametrize("kind", ["zip", "tar.xz parts"])
def test_prepared_from_archives(small, tmp_path, kind):
    source, root = layout(tmp_path / "source"), tmp_path / "root"
    files = sorted(path for path in source.rglob("*") if path.is_file())
    packed = tmp_path / "packed"
    packed.mkdir()
    if kind == "zip":
        with zipfile.ZipFile(packed / "tiny-imagenet-200.zip", "w") as archive:
            for path in files:
                archive.write(path, Path("tiny-imagenet-200") / path.relative_to(source))
    else:
        for part in range(3):
            with tarfile.open(packed / f"part-{part}.tar.xz", "w:xz") as archive:
                for path in files[part::3]:
                    archive.add(path, Path("tiny-imagenet-200") / path.relative_to(source))
    given = packed / "tiny-imagenet-200.zip" if kind == "zip" else packed
    assert "80 training" in tiny_imagenet.prepare(root, given)
    victim = next(root.glob("train/*/images/*"))
    victim.unlink()
    assert "prepared before" in tiny_imagenet.prepare(root, given)
    (root / "decoded" / "index.json").unlink()
    assert "80 training" in tiny_imagenet.prepare(root, given) and victim.exists()
    missing = tmp_path / "half"
    if kind != "zip":
        (packed / "part-1.tar.xz").unlink()
        with pytest.raises(UserError, match="all of its parts"):
            tiny_imagenet.prepare(missing, packed)


def test_files_that_cannot_be_decoded_are_named_and_repaired(small, tmp_path, capsys):
    source, root = layout(tmp_path / "source"), tmp_path / "root"
    victim = source / "train" / "n00000005" / "images" / "n00000005_4.JPEG"
    sound = victim.read_bytes()
    victim.write_bytes(sound[:200])
    with pytest.raises(UserError, match=r"1 of 96 files cannot be decoded; .*--repair"):
        tiny_imagenet.prepare(root, source)
    assert str(root / victim.relative_to(source)) in capsys.readouterr().out
    victim.write_bytes(sound)
    assert "80 training" in tiny_imagenet.prepare(root, source, repair=True)


def test_a_damaged_index_is_repaired_as_the_message_says(small, tmp_path):
    root = tmp_path / "root"
    tiny_imagenet.prepare(root, layout(tmp_path / "source"))
    told = tiny_imagenet.index(root)
    (root / "decoded" / "index.json").write_text("{")
    for ask in (tiny_imagenet.index, lambda root: tiny_imagenet.prepare(root, None)):
        with pytest.raises(UserError, match=f"prepare_data.py tiny_imagenet --repair --root {root}$"):
            ask(root)
    tiny_imagenet.prepare(root, None, repair=True)
    assert tiny_imagenet.index(root) == told


def test_other_files_than_the_official_ones_are_refused(small, tmp_path, monkeypatch):
    """Of the right names and number, and of the sizes that decode: one image is another."""
    source, root = layout(tmp_path / "source"), tmp_path / "root"
    tiny_imagenet.prepare(root, source)
    official = tiny_imagenet.index(root)["fingerprint"]
    monkeypatch.setattr(tiny_imagenet, "DIGEST", official + 48 * "0")
    assert "prepared before" in tiny_imagenet.prepare(root, source)
    (source / "train" / "n00000005" / "images" / "n00000005_4.JPEG").write_bytes(jpeg(photograph(1)))
    other = tmp_path / "other"
    for repair in (False, True):
        with pytest.raises(UserError, match=rf"not the official files .*not {official}.*--repair"):
            tiny_imagenet.prepare(other, source, repair)
    assert not (other / "decoded" / "index.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(tiny_imagenet, "DIGEST", 64 * "0")
        with pytest.raises(UserError, match="not the official files"):
            tiny_imagenet.prepare(root, source)
    with pytest.raises(UserError, match="not the official files"):
        tiny_imagenet.prepare(root, source, repair=True)
    with pytest.raises(UserError, match="no prepared Tiny-ImageNet"):  # its arrays are now those of the other files
        tiny_imagenet.index(root)


def test_the_official_digest_is_the_fingerprint_in_committed_ids():
    status = json.loads(next(ROOT.glob("results/claims/x5/mini/runs/*/status.json")).read_text())
    assert len(tiny_imagenet.DIGEST) == 64 and tiny_imagenet.DIGEST.startswith(status["data_fingerprint"])


def test_a_download_is_complete_or_not_there(tmp_path):
    target = tmp_path / "data" / "set.zip"
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("file", "content")
    fetch((tmp_path / "whole.zip").as_uri(), target)
    assert target.read_bytes() == (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(target.read_bytes()[:-10])
    target.unlink()
    with pytest.raises(UserError, match=r"incomplete or no zip archive; run again, or give --source"):
        fetch((tmp_path / "cut.zip").as_uri(), target)
    with pytest.raises(UserError, match="cannot be fetched"):
        fetch((tmp_path / "nowhere.zip").as_uri(), target)
    assert not any(target.parent.iterdir())


def test_what_is_wrong_with_a_source_is_said(small, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        tiny_imagenet.prepare(tmp_path / "root", tmp_path / "nowhere")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="cannot be unpacked"):
        tiny_imagenet.prepare(tmp_path / "root", tmp_path / "broken.zip")
    with tarfile.open(tmp_path / "unsafe.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    with pytest.raises(UserError, match="outside the destination"):
        unpack(tmp_path / "unsafe.tar", tmp_path / "root")
    with zipfile.ZipFile(tmp_path / "unsafe.zip", "w") as archive:
        archive.writestr("../outside", "")
        archive.writestr("inside", "")
    unpack(tmp_path / "unsafe.zip", tmp_path / "root")
    assert (tmp_path / "root" / "inside").exists() and not (tmp_path / "outside").exists()
    with pytest.raises(UserError, match=r"prepare_data.py tiny_imagenet"):
        tiny_imagenet.index(tmp_path / "root")
