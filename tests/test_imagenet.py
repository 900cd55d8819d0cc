"""ImageNet's class folders: classes, splits, fingerprint, and what is missing."""

import numpy as np
import pytest
import torch

from bnrepro.config.schema import Data
from bnrepro.data import imagenet, load
from bnrepro.data.imagenet import META, scan
from bnrepro.errors import UserError
from fake_imagenet import TRAIN, WNIDS, jpeg, val_files, write


def test_classes_are_those_of_the_folders_with_the_devkits_words(root):
    whole = scan(root)
    assert whole.wnids == whole.names == list(WNIDS)
    assert whole.train.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert whole.val.labels.tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]
    expected = {content: WNIDS.index(wnid) for _, wnid, content in val_files()}
    assert [expected[whole.val.read(k)] for k in range(len(expected))] == whole.val.labels.tolist()
    torch.save((dict.fromkeys(WNIDS, ("a word", "another")), []), root / META)
    assert scan(root).names == ["a word, another"] * 3 and scan(root).fingerprint == whole.fingerprint


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


def test_a_damaged_file_of_digests_is_made_anew(root):
    before = scan(root).fingerprint
    whole = (root / imagenet.DIGESTS).read_text()
    (root / imagenet.DIGESTS).write_text(whole[:100])
    assert scan(root).fingerprint == before and (root / imagenet.DIGESTS).read_text() == whole


def test_what_is_missing_is_said(root, tmp_path):
    with pytest.raises(UserError, match=r"train/ is missing.*prepare_data\.py imagenet --source"):
        scan(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"data\.classes=5"):
        imagenet.parts(Data("imagenet", str(root), classes=5))
    (root / "train" / "n99999999").mkdir()
    with pytest.raises(UserError, match="train: a class folder n99999999 has to hold images"):
        scan(root)
    write(root / "train" / "n99999999" / "image.JPEG", jpeg(7))
    with pytest.raises(UserError, match="val: a class folder n99999999 has to hold images"):
        scan(root)
    (tmp_path / "empty" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match="val/ is missing"):
        scan(tmp_path / "empty")
    (tmp_path / "empty" / "val").mkdir()
    with pytest.raises(UserError, match="a class folder of any name has to hold images"):
        scan(tmp_path / "empty")


def test_tuning_holds_out_training_images_alike_however_many_classes(root):
    for k in range(TRAIN, 20):
        for wnid in WNIDS:
            write(root / "train" / wnid / f"{wnid}_{k}.JPEG", b"not read here")
    train, held_out = imagenet.parts(Data("imagenet", str(root), "tune"))
    assert np.bincount(train.labels).tolist() == [18] * 3 and np.bincount(held_out.labels).tolist() == [2] * 3
    assert sorted([*train.names, *held_out.names]) == sorted(scan(root).train.names)
    options = Data("imagenet", str(root), "tune", classes=1, images_per_class=3)
    few, few_held_out = load.parts(options)
    assert few_held_out.names.tolist() == held_out.names[:2].tolist()
    assert few.names.tolist() == train.names[:3].tolist() and set(few.labels) == {0}
