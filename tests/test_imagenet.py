"""ImageNet: odd image files, the usual folders, batches streamed from them, the prepared cache, and taking archives."""

import io
import multiprocessing
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image
from scipy.io import savemat

from bnrepro.benchmarks import input as input_speed
from bnrepro.config import Config
from bnrepro.data import augment, imagenet_cache, load
from bnrepro.data.decode import CorruptImage, decode, kind
from bnrepro.data.encoded import Collection, resized
from bnrepro.data.imagenet import collection, parts, scan
from bnrepro.data.prepare_imagenet import place, prepare
from bnrepro.data.stream import StreamedImages
from bnrepro.errors import UserError
from bnrepro.seeding import numpy_rng

WNIDS = ("n01440764", "n02119789", "n12998815")
TRAIN, VAL, PIXELS = 5, 2, 24
CPU = torch.device("cpu")


def picture(seed: int) -> np.ndarray:
    """Smooth colours, of a size of its own."""
    rng = np.random.default_rng(seed)
    small = torch.from_numpy(rng.integers(0, 256, (1, 3, 4, 4), dtype=np.uint8))
    size = tuple(int(n) for n in rng.integers(40, 80, 2))
    return torch.nn.functional.interpolate(small, size, mode="bilinear")[0].permute(1, 2, 0).contiguous().numpy()


def encoded(image: Image.Image, form: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def jpeg(seed: int) -> bytes:
    return encoded(Image.fromarray(picture(seed)), quality=95)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def val_files() -> list[tuple[str, str, bytes]]:
    """The name, class and contents of the validation images; neighbours are of different classes."""
    order = [WNIDS[k % 3] for k in range(3 * VAL)]
    return [(f"ILSVRC2012_val_{k + 1:08d}.JPEG", wnid, jpeg(100 + k)) for k, wnid in enumerate(order)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The usual folders, validation images in class folders."""
    folder = tmp_path / "imagenet"
    for k, wnid in enumerate(WNIDS):
        for i in range(TRAIN):
            write(folder / "train" / wnid / f"{wnid}_{i}.JPEG", jpeg(10 * k + i))
    for name, wnid, content in val_files():
        write(folder / "val" / wnid / name, content)
    return folder


def streamed(found: Collection, batch_size: int = 4, **options) -> StreamedImages:
    given = {"shuffle": "full", "augmentation": augment.Augmentation(), "device": CPU} | options
    return StreamedImages(*parts(found, 0, "full", 0), batch_size, PIXELS, **given)


HALVES = np.zeros((16, 32, 3), np.uint8)
HALVES[:, :16], HALVES[:, 16:] = (200, 40, 60), (30, 90, 220)


@pytest.mark.parametrize("odd", ["rgb", "grey", "cmyk", "16 bit", "rotated", "png"])
def test_odd_files_decode_to_the_pixels_they_show(odd):
    image, expected = Image.fromarray(HALVES), HALVES
    options = {"quality": 100, "subsampling": 0}
    if odd == "grey":
        image = image.convert("L")
        expected = np.repeat(np.asarray(image)[..., None], 3, 2)
    elif odd == "cmyk":
        image = image.convert("CMYK")
    elif odd == "16 bit":
        wide = np.tile(np.arange(0, 65536, 2048, dtype=np.uint16), (16, 1))
        image, expected = Image.fromarray(wide), np.repeat((wide >> 8).astype(np.uint8)[..., None], 3, 2)
    elif odd == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        options, expected = options | {"exif": exif}, np.rot90(HALVES, -1)
    content = encoded(image, "PNG") if odd in ("png", "16 bit") else encoded(image, **options)
    shown = decode(content)
    assert shown.shape == expected.shape and shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - expected).max() <= (0 if odd in ("png", "16 bit") else 4)
    assert kind(content) == ("rgb" if odd == "png" else odd)


@pytest.mark.parametrize("content", [b"", b"no image", jpeg(1)[:700], jpeg(1)[:20]])
def test_corrupt_files_are_told_apart(content):
    with pytest.raises(CorruptImage):
        decode(content)


def flat(root: Path) -> None:
    for path in list((root / "val").glob("*/*")):
        path.rename(root / "val" / path.name)
    for wnid in WNIDS:
        (root / "val" / wnid).rmdir()


def pairs(root: Path) -> None:
    (root / "val" / "val_labels.txt").write_text("".join(f"{name} {wnid}\n" for name, wnid, _ in val_files()))


def kaggle(root: Path) -> None:
    rows = [f"{name.removesuffix('.JPEG')},{wnid} 1 2 3 4 {wnid} 5 6 7 8" for name, wnid, _ in val_files()]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{wnid} a word, another\n" for wnid in WNIDS))


def ground_truth(root: Path, order: list[str]) -> None:
    numbers = [order.index(wnid) + 1 for _, wnid, _ in val_files()]
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, numbers)))


def devkit(root: Path) -> None:
    order = [WNIDS[2], WNIDS[0], WNIDS[1]]
    ground_truth(root, order)
    rows = np.array([(k + 1, wnid) for k, wnid in enumerate(order)], dtype=[("ILSVRC2012_ID", "i4"), ("WNID", "O")])
    savemat(root / "meta.mat", {"synsets": rows})


def devkit_listed(root: Path) -> None:
    order = [WNIDS[2], WNIDS[0], WNIDS[1]]
    ground_truth(root, order)
    (root / "synsets.txt").write_text("\n".join(order))


@pytest.mark.parametrize("labels", [None, pairs, kaggle, devkit, devkit_listed])
def test_every_usual_layout_of_the_validation_images(root, labels):
    before = scan(root)
    if labels is not None:
        flat(root)
        labels(root)
    found = scan(root)
    assert found.wnids == list(WNIDS) and found.fingerprint == before.fingerprint
    assert found.names == (["a word, another"] * 3 if labels is kaggle else list(WNIDS))
    assert found.val.labels.tolist() == [0, 0, 1, 1, 2, 2]
    told = {content: WNIDS.index(wnid) for _, wnid, content in val_files()}
    assert [told[found.val.read(k)] for k in range(len(told))] == found.val.labels.tolist()


def test_a_sorted_list_is_not_taken_for_the_devkits_order(root):
    flat(root)
    ground_truth(root, list(WNIDS))
    (root / "synsets.txt").write_text("\n".join(WNIDS))
    with pytest.raises(UserError, match=r"put the devkit's meta\.mat"):
        scan(root)


def test_what_is_missing_is_said(root, tmp_path):
    with pytest.raises(UserError, match=r"prepare_data\.py imagenet --source"):
        scan(tmp_path / "nowhere")
    flat(root)
    with pytest.raises(UserError, match="no labels"):
        scan(root)
    pairs(root)
    write(root / "val" / "stranger.JPEG", jpeg(7))
    with pytest.raises(UserError, match=r"stranger\.JPEG has no label"):
        scan(root)
    (root / "val" / "stranger.JPEG").unlink()
    (root / "train" / "n99999999").mkdir()
    with pytest.raises(UserError, match="class n99999999 has no images"):
        scan(root)
    with pytest.raises(UserError, match=r"data\.classes=5"):
        (root / "train" / "n99999999").rmdir()
        parts(scan(root), 5, "full", 0)


def test_tuning_holds_out_training_images_alike_however_many_classes(root):
    for k in range(TRAIN, 20):
        for wnid in WNIDS:
            write(root / "train" / wnid / f"{wnid}_{k}.JPEG", b"not read here")
    found = scan(root)
    train, held_out = parts(found, 0, "tune", 0)
    assert np.bincount(train.labels).tolist() == [18] * 3 and np.bincount(held_out.labels).tolist() == [2] * 3
    assert sorted([*train.names, *held_out.names]) == sorted(found.train.names)
    one_train, one_held_out = parts(found, 1, "tune", 3)
    assert one_held_out.names.tolist() == held_out.names[:2].tolist()
    assert one_train.names.tolist() == train.names[:3].tolist() and set(one_train.labels) == {0}


def test_batches_are_functions_of_seed_and_step_whatever_the_workers(root):
    found = scan(root)
    alone, helped = streamed(found), streamed(found, workers=2)
    told = [alone.batch(3, step) for step in range(5)]
    assert alone.classes == 3 and alone.steps_per_epoch == 3
    before = torch.get_rng_state()
    for step, (images, labels) in enumerate(told):
        others, other_labels = helped.batch(3, step)
        assert torch.equal(images, others) and torch.equal(labels, other_labels)
        assert images.shape == (4, 3, PIXELS, PIXELS) and images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(streamed(found).batch(3, 4)[0], told[4][0])  # resumed in the middle
    assert torch.equal(helped.batch(3, 1)[0], told[1][0])  # and gone back
    assert not torch.equal(alone.batch(4, 0)[0], told[0][0])
    fixed = list(alone.fixed_batches(2, "population"))
    assert torch.equal(torch.stack(fixed), torch.stack(list(helped.fixed_batches(2, "population"))))
    for ours, theirs in zip(alone.evaluation_batches(), helped.evaluation_batches(), strict=True):
        assert torch.equal(ours[0], theirs[0]) and ours[1].tolist() == [0, 0, 1, 1, 2, 2]


def test_workers_end_with_the_data_set_and_at_once(root):
    data = streamed(scan(root), workers=2)
    data.batch(0, 0)
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    del data
    assert not multiprocessing.active_children()


def test_shards_show_the_same_images_together_in_every_epoch(root):
    data = streamed(scan(root), batch_size=5, shuffle="shards")
    assert torch.equal(data.batch(0, 1)[1], data.batch(0, 4)[1])
    assert data.order(0, 1).tolist() == data.order(0, 4).tolist()


def test_replicas_share_out_the_batch(root):
    found = scan(root)
    whole = streamed(found, batch_size=6).batch(1, 1)
    halves = [streamed(found, batch_size=3, replica=(rank, 2)).batch(1, 1) for rank in range(2)]
    assert torch.equal(torch.cat([images for images, _ in halves]), whole[0])
    assert torch.equal(torch.cat([labels for _, labels in halves]), whole[1])


def test_a_batch_follows_the_rule_of_resident_images(root):
    """The same boxes, mirrored and distorted as `augment.crop_and_resize` does it, within rounding to bytes."""
    found = scan(root)
    data = streamed(found)
    index = data.order(2, 0)
    decoded = [decode(found.train.read(k)) for k in index]
    draws = augment.draw(numpy_rng(2, "augment", 0), np.array([image.shape[:2] for image in decoded]), data_rule())
    expected = torch.cat(
        [
            augment.crop_and_resize(
                torch.from_numpy(decoded[k].transpose(2, 0, 1).copy())[None],
                torch.from_numpy(draws.boxes[k : k + 1]),
                PIXELS,
                torch.from_numpy(draws.flips[k : k + 1]),
            )
            for k in range(len(index))
        ]
    )
    amounts = torch.from_numpy(draws.brightness), torch.from_numpy(draws.saturation)
    expected = augment.finish(augment.distort(expected / 255, *amounts))
    assert (data.batch(2, 0)[0] - expected).abs().max() < 2 * 2 / 255


def data_rule() -> augment.Augmentation:
    return augment.Augmentation()


def test_corrupt_training_images_are_replaced_named_once_and_counted(root, capsys):
    bad = root / "train" / WNIDS[1] / f"{WNIDS[1]}_4.JPEG"
    bad.write_bytes(bad.read_bytes()[:500])
    data, helped = streamed(scan(root), batch_size=5), streamed(scan(root), batch_size=5, workers=1)
    for step in range(6):
        images, labels = data.batch(0, step)
        assert torch.equal(helped.batch(0, step)[0], images) and images.isfinite().all() and len(labels) == 5
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and said[0] == said[1] and str(bad) in said[0] and "--repair" in said[0]  # one a data set
    assert len(data.corrupt) == 1
    maker = data.training
    stand_in, _ = maker._decode(9)
    assert np.array_equal(stand_in, maker._decode(5)[0])  # the last of its class: the first follows


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_validation_image_ends_the_evaluation_with_its_name(root, workers):
    bad = root / "val" / WNIDS[1] / val_files()[1][0]
    bad.write_bytes(b"\xff\xd8 nothing")
    with pytest.raises(UserError, match=rf"{bad.name} cannot be decoded .*--repair"):
        list(streamed(scan(root), workers=workers).evaluation_batches())


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(imagenet_cache, "SHARD_IMAGES", 4)


def test_a_cache_holds_the_reduced_images_and_goes_on_after_an_interruption(root, tmp_path, small_shards, monkeypatch):
    wide = root / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    wide.write_bytes(encoded(Image.fromarray(picture(0)).convert("CMYK")))
    found, out, side = scan(root), tmp_path / "cache", 48
    assert "6 shards" in imagenet_cache.prepare_cache(found, out, side)
    cached = collection(out)
    assert cached.wnids == found.wnids and cached.fingerprint != found.fingerprint
    for part in ("train", "val"):
        ours, theirs = getattr(cached, part), getattr(found, part)
        assert ours.labels.tolist() == theirs.labels.tolist()
        for k in range(len(theirs.labels)):
            image, content = decode(theirs.read(k)), ours.read(k)
            height, width = image.shape[:2]
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

    made = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / imagenet_cache.INDEX).rename(out / imagenet_cache.SETTINGS)  # as it was before the last shards
    for name in ("train-00003.tar", "val-00001.tar"):
        (out / name).unlink()
    kept = (out / "train-00000.tar").stat().st_mtime_ns
    with pytest.raises(UserError, match="unfinished"):
        imagenet_cache.opened(out)
    imagenet_cache.prepare_cache(found, out, side)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == made
    assert (out / "train-00000.tar").stat().st_mtime_ns == kept

    shard = out / "train-00001.tar"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"train-00001\.tar is damaged \(1 such\)"):
        imagenet_cache.verify_cache(out)
    imagenet_cache.prepare_cache(found, out, side, repair=True)
    assert shard.read_bytes() == made[shard.name] and "checksums as expected" in prepare(out, None)
    with pytest.raises(UserError, match="of another --side"):
        imagenet_cache.prepare_cache(found, out, side + 1)
    shard.unlink()
    with pytest.raises(UserError, match=r"train-00001\.tar is missing"):
        imagenet_cache.opened(out)


def tar_of(files: dict[str, bytes], path: Path) -> bytes:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            told = tarfile.TarInfo(name)
            told.size = len(content)
            tar.addfile(told, io.BytesIO(content))
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
    (source / "val_labels.txt").write_text("".join(f"{name} {wnid}\n" for name, wnid, _ in val_files()))


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
    found = place(Path(name))
    assert (found and str(found)) == placed


def test_the_configuration_leads_to_streamed_images(root):
    config = Config()
    config.data.name, config.data.root, config.data.pixels, config.data.workers = "imagenet", str(root), PIXELS, 0
    config.data.images_per_class, config.training.batch_size, config.augment.name = 2, 3, "googlenet"
    data = load.images(config, CPU, (0, 1))
    assert isinstance(data, StreamedImages) and data.steps_per_epoch == 2 and data.classes == 3
    assert load.fingerprint(config.data) == scan(root).fingerprint


def test_the_doors_say_what_they_need(door, tmp_path):
    process = door("prepare_data.py", "imagenet", "--root", str(tmp_path / "none"))
    assert process.returncode == 2 and process.stderr.count("\n") == 1 and "account at image-net.org" in process.stderr
    with pytest.raises(UserError, match="needs --photographs FOLDER"):
        input_speed.main(tmp_path / "out.json", "", None, None)
