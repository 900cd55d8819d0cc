"""ImageNet's usual folders: classes, labels of the validation images, splits, and what is missing."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from bnrepro.config.schema import Data
from bnrepro.data import imagenet, load
from bnrepro.data.imagenet import of_collection, scan
from bnrepro.errors import UserError
from fake_imagenet import TRAIN, WNIDS, jpeg, val_files, write


def flat(root: Path) -> None:
    for path in list((root / "val").glob("*/*")):
        path.rename(root / "val" / path.name)
    for wnid in WNIDS:
        (root / "val" / wnid).rmdir()


def kaggle(root: Path) -> None:
    rows = [f"{name.removesuffix('.JPEG')},{wnid} 1 2 3 4 {wnid} 5 6 7 8" for name, wnid, _ in val_files()]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{wnid} a word, another\n" for wnid in WNIDS))


def devkit(root: Path) -> None:
    """Its numbers count the classes in an order that is not the sorted one."""
    order = [WNIDS[2], WNIDS[0], WNIDS[1]]
    numbers = [order.index(wnid) + 1 for _, wnid, _ in val_files()]
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, numbers)))
    columns = [("ILSVRC2012_ID", "i4"), ("WNID", "O"), ("words", "O")]
    rows = np.array([(k + 1, wnid, "a word, another") for k, wnid in enumerate(order)], dtype=columns)
    savemat(root / "meta.mat", {"synsets": rows})


@pytest.mark.parametrize("labels", [None, kaggle, devkit])
def test_every_usual_layout_of_the_validation_images(root, labels):
    before = scan(root)
    if labels is not None:
        flat(root)
        labels(root)
    whole = scan(root)
    assert whole.wnids == list(WNIDS) and whole.fingerprint == before.fingerprint
    assert whole.names == (["a word, another"] * 3 if labels else list(WNIDS))
    assert whole.val.labels.tolist() == [0, 0, 1, 1, 2, 2]
    expected = {content: WNIDS.index(wnid) for _, wnid, content in val_files()}
    assert [expected[whole.val.read(k)] for k in range(len(expected))] == whole.val.labels.tolist()


def test_a_data_set_is_known_by_what_is_in_its_files(root, monkeypatch):
    """One other image is another data set; what has not changed is read once."""
    before = scan(root).fingerprint
    read = []
    digest = imagenet._digest
    monkeypatch.setattr(imagenet, "_digest", lambda paths: read.append(paths[0].parent.name) or digest(paths))
    assert scan(root).fingerprint == before and not read
    victim = root / "train" / WNIDS[1] / f"{WNIDS[1]}_2.JPEG"
    kept = victim.read_bytes()
    victim.write_bytes(jpeg(99))
    assert scan(root).fingerprint != before and read == [WNIDS[1]]
    victim.write_bytes(kept)
    assert scan(root).fingerprint == before


def test_what_is_missing_is_said(root, tmp_path):
    with pytest.raises(UserError, match=r"prepare_data\.py imagenet --source"):
        scan(tmp_path / "nowhere")
    flat(root)
    with pytest.raises(UserError, match="no labels"):
        scan(root)
    devkit(root)
    write(root / "val" / "stranger.JPEG", jpeg(7))
    with pytest.raises(UserError, match="has 6 lines for 7 images"):
        scan(root)
    kaggle(root)
    with pytest.raises(UserError, match=r"stranger\.JPEG has no label"):
        scan(root)
    (root / "val" / "stranger.JPEG").unlink()
    (root / "train" / "n99999999").mkdir()
    with pytest.raises(UserError, match="class n99999999 has no images"):
        scan(root)
    with pytest.raises(UserError, match=r"data\.classes=5"):
        (root / "train" / "n99999999").rmdir()
        of_collection(scan(root), 5, "full")


def test_tuning_holds_out_training_images_alike_however_many_classes(root):
    for k in range(TRAIN, 20):
        for wnid in WNIDS:
            write(root / "train" / wnid / f"{wnid}_{k}.JPEG", b"not read here")
    whole = scan(root)
    train, held_out = of_collection(whole, 0, "tune")
    assert np.bincount(train.labels).tolist() == [18] * 3 and np.bincount(held_out.labels).tolist() == [2] * 3
    assert sorted([*train.names, *held_out.names]) == sorted(whole.train.names)
    options = Data("imagenet", str(root), "tune", classes=1, images_per_class=3)
    few, few_held_out = load.parts(options)
    assert few_held_out.names.tolist() == held_out.names[:2].tolist()
    assert few.names.tolist() == train.names[:3].tolist() and set(few.labels) == {0}
