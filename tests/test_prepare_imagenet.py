"""ImageNet taken from archives or folders, repaired, and its prepared cache."""

import io
import json
import runpy
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path, PurePath

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image

from bnrepro.benchmarks import input as input_speed
from bnrepro.data.augment import resized
from bnrepro.data.decode import decode, kind
from bnrepro.data.imagenet import CACHE, scan
from bnrepro.data.imagenet_cache import prepare_cache
from bnrepro.data.prepare_imagenet import place, prepare
from bnrepro.errors import UserError
from conftest import ROOT
from fake_imagenet import WNIDS, encoded, picture, streamed, val_files
from test_imagenet import devkit, flat


def tar_of(files: dict[str, bytes], path: Path) -> bytes:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path.read_bytes()


def official(root: Path, source: Path) -> None:
    """ILSVRC2012_img_train.tar of class tars, ILSVRC2012_img_val.tar, and the labels beside them."""
    source.mkdir()
    inner = {
        f"{wnid}.tar": tar_of({p.name: p.read_bytes() for p in (root / "train" / wnid).iterdir()}, source / "one.tar")
        for wnid in WNIDS
    }
    (source / "one.tar").unlink()
    tar_of(inner, source / "ILSVRC2012_img_train.tar")
    tar_of({name: content for name, _, content in val_files()}, source / "ILSVRC2012_img_val.tar")
    kit = source / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    devkit(kit)
    shutil.make_archive(str(source / "ILSVRC2012_devkit_t12"), "gztar", source, "ILSVRC2012_devkit_t12")
    shutil.rmtree(kit.parent)


def zipped(root: Path, source: Path) -> None:
    source.mkdir()
    with zipfile.ZipFile(source / "imagenet.zip", "w") as archive:
        for path in root.glob("*/*/*"):
            archive.write(path, Path("ILSVRC", "Data", "CLS-LOC") / path.relative_to(root))


def folders(root: Path, source: Path) -> None:
    shutil.copytree(root, source / "ILSVRC" / "Data" / "CLS-LOC")


@pytest.mark.parametrize("form", [official, zipped, folders])
def test_taken_from_archives_or_folders_and_repaired_from_them(root, tmp_path, form, capsys):
    source, target = tmp_path / "source", tmp_path / "target"
    form(root, source)
    said = prepare(target, source)
    assert "15 training and 6 validation images, 3 classes (21 rgb)" in said
    expected, found = scan(root), scan(target)
    assert found.fingerprint == expected.fingerprint
    assert [found.train.read(k) for k in range(15)] == [expected.train.read(k) for k in range(15)]

    bad, lost = (target / "train" / WNIDS[0] / f"{WNIDS[0]}_{k}.JPEG" for k in (1, 2))
    whole = bad.read_bytes()
    bad.unlink()  # it may be a link to the source
    bad.write_bytes(whole[:300])
    with pytest.raises(UserError, match="1 of 21 files cannot be decoded; give --source and --repair"):
        prepare(target, None)
    assert str(bad) in capsys.readouterr().out
    lost.unlink()
    assert "15 training" in prepare(target, source, repair=True)
    assert bad.read_bytes() == whole and lost.exists()


@pytest.mark.parametrize(
    ("name", "placed"),
    [
        ("n01440764/n01440764_10026.JPEG", "train/n01440764/n01440764_10026.JPEG"),
        ("n01440764_10026.JPEG", "train/n01440764/n01440764_10026.JPEG"),
        ("a/train/n01440764/x.jpg", "train/n01440764/x.jpg"),
        ("ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000001.JPEG"),
        ("CLS-LOC/val/ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000001.JPEG"),
        ("ILSVRC2012_devkit_t12/data/meta.mat", "meta.mat"),
        ("CLS-LOC/test/ILSVRC2012_test_00000001.JPEG", None),
        ("Annotations/n01440764/n01440764_10026.xml", None),
    ],
)
def test_where_files_of_an_archive_belong(name, placed):
    found = place(PurePath(name))
    assert (found and str(found)) == placed


def test_a_cache_holds_the_reduced_images_and_goes_on_after_an_interruption(root, tmp_path):
    flat(root)
    devkit(root)
    wide = root / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    wide.write_bytes(encoded(Image.fromarray(picture(0)).convert("CMYK")))
    found, out, side = scan(root), tmp_path / "cache", 48
    assert "15 training and 6 validation images" in prepare_cache(found, out, side)
    cached = scan(out)
    assert (cached.wnids, cached.names) == (found.wnids, found.names) and cached.fingerprint != found.fingerprint
    for part in ("train", "val"):
        ours, theirs = getattr(cached, part), getattr(found, part)
        assert ours.labels.tolist() == theirs.labels.tolist()
        for k in range(len(theirs.labels)):
            image, content = decode(theirs.read(k)), ours.read(k)
            height, width = image.shape[:2]
            assert ours.path(k).stem == theirs.path(k).stem
            if min(height, width) > side:
                scale = side / min(height, width)
                size = round(height * scale), round(width * scale)
                small = resized(image, np.array([0, 0, height, width]), size).permute(1, 2, 0).contiguous().numpy()
                assert content == simplejpeg.encode_jpeg(small, 90, "RGB", "420")
            elif kind(theirs.read(k)) == "rgb":
                assert content == theirs.read(k)
            else:
                assert np.abs(decode(content).astype(int) - image).mean() < 6
    assert torch.equal(streamed(cached, workers=2).batch(0, 1)[0], streamed(cached).batch(0, 1)[0])

    made = {path: path.read_bytes() for path in out.rglob("*.jp*g")}
    lost, bad, kept = sorted(made)[:3]
    before = kept.stat().st_mtime_ns
    lost.unlink()
    bad.write_bytes(made[bad][:-100])
    marker = json.loads((out / CACHE).read_text())
    (out / CACHE).write_text(json.dumps(marker | {"finished": False}))  # as it was before the last images
    with pytest.raises(UserError, match="unfinished"):
        scan(out)
    prepare_cache(found, out, side)
    assert lost.read_bytes() == made[lost] and bad.read_bytes() != made[bad]
    with pytest.raises(UserError, match="1 of 21 files cannot be decoded"):
        prepare(out, None)
    prepare_cache(found, out, side, repair=True)
    assert {path: path.read_bytes() for path in out.rglob("*.jp*g")} == made and kept.stat().st_mtime_ns == before
    assert "15 training and 6 validation images, 3 classes" in prepare(out, None)
    with pytest.raises(UserError, match="of another --side"):
        prepare_cache(found, out, side + 1)


def test_the_doors_say_what_they_need(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", "imagenet", "--root", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / "prepare_data.py"), run_name="__main__")
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and "account at image-net.org" in said
    with pytest.raises(UserError, match="needs --photographs FOLDER"):
        input_speed.main(tmp_path / "out.json", "", None, None)
