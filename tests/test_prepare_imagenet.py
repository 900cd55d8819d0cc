"""ImageNet made from the official archives, verified, and its cache of smaller images."""

import hashlib
import io
import runpy
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image
from scipy.io import savemat

from bnrepro.benchmarks import input as input_speed
from bnrepro.compat import ensure_torchvision
from bnrepro.data import prepare_imagenet
from bnrepro.data.augment import resized
from bnrepro.data.decode import decode
from bnrepro.data.imagenet import scan
from bnrepro.data.prepare_imagenet import DEVKIT, TRAIN, VAL, prepare
from bnrepro.errors import UserError
from conftest import ROOT
from fake_imagenet import WNIDS, encoded, picture, streamed, val_files


def tar_of(files: dict[str, bytes], path: Path, mode: str = "w") -> bytes:
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path.read_bytes()


def devkit() -> dict[str, bytes]:
    """The numbers of its validation labels count the classes in an order that is not the sorted one."""
    order = [WNIDS[2], WNIDS[0], WNIDS[1]]
    numbers = [order.index(wnid) + 1 for _, wnid, _ in val_files()]
    columns = [("ILSVRC2012_ID", "i4"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "i4")]
    rows = [(k + 1, wnid, "a word, another", "", 0) for k, wnid in enumerate(order)]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array([*rows, (4, "n00000001", "entity", "", 3)], dtype=columns)})
    return {
        "meta.mat": meta.getvalue(),
        "ILSVRC2012_validation_ground_truth.txt": "\n".join(map(str, numbers)).encode(),
    }


def archives(root: Path, source: Path, monkeypatch) -> None:
    """The official archives of the images in ``root``, whose checksums torchvision then expects."""
    source.mkdir()
    images = {wnid: {p.name: p.read_bytes() for p in (root / "train" / wnid).iterdir()} for wnid in WNIDS}
    tar_of({f"{wnid}.tar": tar_of(files, source / "one.tar") for wnid, files in images.items()}, source / TRAIN)
    (source / "one.tar").unlink()
    tar_of({name: content for name, _, content in val_files()}, source / VAL)
    kit = {f"ILSVRC2012_devkit_t12/data/{name}": content for name, content in devkit().items()}
    tar_of(kit, source / DEVKIT, "w:gz")
    ensure_torchvision()
    from torchvision.datasets import imagenet

    digests = {name: hashlib.md5((source / name).read_bytes()).hexdigest() for name in (TRAIN, VAL, DEVKIT)}
    names = {"train": TRAIN, "val": VAL, "devkit": DEVKIT}
    monkeypatch.setattr(imagenet, "ARCHIVE_META", {part: (name, digests[name]) for part, name in names.items()})


def test_made_from_the_official_archives(root, tmp_path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "target"
    archives(root, source, monkeypatch)
    assert "15 training and 6 validation images, 3 classes" in prepare(target, source)
    made = scan(target)
    assert made.fingerprint == scan(root).fingerprint and made.names == ["a word, another"] * 3
    with pytest.raises(UserError, match=r"train exists; move it away, or leave out --source"):
        prepare(target, source)
    shutil.rmtree(target)
    (source / VAL).write_bytes(b"")
    with pytest.raises(UserError, match=rf"{VAL} is not present .* or is corrupted.*; fetch it again"):
        prepare(target, source)
    (source / VAL).unlink()
    with pytest.raises(UserError, match=rf"{VAL} is missing\. ImageNet needs an account"):
        prepare(tmp_path / "other", source)


def test_every_file_is_decoded_and_counted(root, monkeypatch, capsys):
    bad = root / "train" / WNIDS[0] / f"{WNIDS[0]}_1.JPEG"
    bad.write_bytes(bad.read_bytes()[:300])
    with pytest.raises(UserError, match="1 of 21 files cannot be decoded"):
        prepare(root, None)
    assert str(bad) in capsys.readouterr().out
    bad.unlink()
    assert "14 training" in prepare(root, None)
    monkeypatch.setattr(prepare_imagenet, "CLASSES", 3)
    with pytest.raises(UserError, match="train has 14 of 1,281,167 images"):
        prepare(root, None)


def test_a_cache_holds_the_reduced_images_and_goes_on_after_an_interruption(root, tmp_path, monkeypatch):
    side, cache = 48, tmp_path / "cache"
    monkeypatch.setattr(prepare_imagenet, "SIDE", side)
    wide = root / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    wide.write_bytes(encoded(Image.fromarray(picture(0)).convert("CMYK")))
    assert f"shorter side {side}; use it with data.root={cache}" in prepare(root, None, cache)
    original, cached = scan(root), scan(cache)
    assert (cached.wnids, cached.names) == (original.wnids, original.names)
    assert cached.fingerprint != original.fingerprint
    for ours, theirs in ((cached.train, original.train), (cached.val, original.val)):
        assert ours.labels.tolist() == theirs.labels.tolist()
        for k in range(len(theirs.labels)):
            image, content = decode(theirs.read(k)), ours.read(k)
            height, width = image.shape[:2]
            assert ours.path(k).stem == theirs.path(k).stem
            if min(height, width) > side:
                scale = side / min(height, width)
                size = round(height * scale), round(width * scale)
                image = resized(image, np.array([0, 0, height, width]), size).permute(1, 2, 0).contiguous().numpy()
            assert content == simplejpeg.encode_jpeg(image, 90, "RGB", "420")
    assert torch.equal(streamed(cache, workers=2).batch(0, 1)[0], streamed(cache).batch(0, 1)[0])
    assert "15 training and 6 validation images, 3 classes" in prepare(cache, None)
    with pytest.raises(UserError, match="cache exists; move it away"):
        prepare(root, None, cache)

    made = {path.name: path.read_bytes() for path in cache.rglob("*.jpg")}
    lost, kept = sorted(cache.rglob("*.jpg"))[:2]
    lost.unlink()
    before = kept.stat().st_mtime_ns
    cache.rename(tmp_path / "cache.unfinished")
    prepare(root, None, cache)
    assert {path.name: path.read_bytes() for path in cache.rglob("*.jpg")} == made
    assert kept.stat().st_mtime_ns == before


def test_images_whose_names_differ_in_their_endings_alone_are_all_in_a_cache(root, tmp_path):
    folder, cache = root / "train" / WNIDS[0], tmp_path / "cache"
    for name in ("x.png", "x.jpg", "x.png.png"):
        Image.new("RGB", (40, 40)).save(folder / name)
    assert "18 training" in prepare(root, None, cache)
    assert len(scan(cache).train.labels) == 18
    assert {"x.png.jpg", "x.jpg.jpg", "x.png.png.jpg"} <= {path.name for path in (cache / "train" / WNIDS[0]).iterdir()}
    assert (cache / "train" / WNIDS[1] / f"{WNIDS[1]}_0.jpg").is_file()


def test_the_doors_say_what_they_need(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", "imagenet", "--root", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / "prepare_data.py"), run_name="__main__")
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and "account at image-net.org" in said
    with pytest.raises(UserError, match="it should hold class folders of full-size JPEGs"):
        input_speed.measure(tmp_path, tmp_path)
