"""GoogLeNet's crops, by hand; what is averaged over them; the folded network."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from bnrepro.data.augment import crop_and_resize
from bnrepro.data.pictures import Pictures, of_folder
from bnrepro.errors import UserError
from bnrepro.layers import build_norm
from bnrepro.models.folded import folded
from bnrepro.models.inception import Inception
from bnrepro.use.crops import crops_of, cut, views
from bnrepro.use.multicrop import mean_over_crops


def listed(found, shorter: int) -> list[tuple[int, ...]]:
    """The different (top, left, side) at one scale, in order."""
    here = found.frames.min(1) == shorter
    return list(dict.fromkeys(map(tuple, found.boxes[here].tolist())))


def test_the_144_crops_of_a_landscape():
    """500 x 375 becomes 341 x 256, say: squares at 0, 42 and 85, crops of 224 at 0, 16 and 32 in them."""
    found = crops_of(144, 375, 500, 224)
    assert len(found.boxes) == 144 and found.mirrored.sum() == 72
    assert sorted({tuple(frame) for frame in found.frames.tolist()}) == [(256, 341), (288, 384), (320, 427), (352, 469)]
    assert listed(found, 256) == [
        *[(0, 0, 224), (0, 32, 224), (32, 0, 224), (32, 32, 224), (16, 16, 224), (0, 0, 256)],
        *[(0, 42, 224), (0, 74, 224), (32, 42, 224), (32, 74, 224), (16, 58, 224), (0, 42, 256)],
        *[(0, 85, 224), (0, 117, 224), (32, 85, 224), (32, 117, 224), (16, 101, 224), (0, 85, 256)],
    ]
    assert listed(found, 352)[:6] == [
        *[(0, 0, 224), (0, 128, 224), (128, 0, 224), (128, 128, 224), (64, 64, 224), (0, 0, 352)]
    ]


def test_the_144_crops_of_a_portrait():
    """375 x 500: top, centre and bottom squares."""
    found = crops_of(144, 500, 375, 224)
    assert len(found.boxes) == 144
    assert listed(found, 288)[:6] == [
        *[(0, 0, 224), (0, 64, 224), (64, 0, 224), (64, 64, 224), (32, 32, 224), (0, 0, 288)]
    ]
    assert [box for box in listed(found, 288) if box[2] == 288] == [(0, 0, 288), (48, 0, 288), (96, 0, 288)]


def test_the_144_crops_of_a_square_are_48_each_three_times():
    found = crops_of(144, 64, 64, 32)
    assert len(found.boxes) == 144
    assert sorted(set(found.frames[:, 0].tolist())) == [37, 41, 46, 50]
    assert listed(found, 37) == [(0, 0, 32), (0, 5, 32), (5, 0, 32), (5, 5, 32), (2, 2, 32), (0, 0, 37)]
    seen = views(found, 64, 64)
    assert len(seen.weights) == 48 and np.allclose(seen.weights, 1 / 48)
    assert seen.boxes[:, 2:].max() == 64  # the whole square, in the original's pixels


def test_ten_crops_and_one():
    ten = crops_of(10, 256, 300, 224)
    assert len(ten.boxes) == 10
    assert listed(ten, 256) == [(0, 22, 224), (0, 54, 224), (32, 22, 224), (32, 54, 224), (16, 38, 224)]
    one = crops_of(1, 64, 64, 32)
    assert one.boxes.tolist() == [[4, 4, 56]] and not one.mirrored.any()


def test_a_view_is_the_resized_image_cut():
    """The whole square is PyTorch's antialiased resize of it, and its mirror image."""
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 74, 148), np.uint8))
    found = crops_of(144, 74, 148, 32)
    whole = found._replace(**{name: getattr(found, name)[10:12] for name in found._fields})
    assert whole.frames.tolist() == [[37, 74]] * 2 and whole.boxes.tolist() == [[0, 0, 37]] * 2
    (seen,) = cut(image, views(whole, 74, 148), 32)
    expected = F.interpolate(image[:, :, :, :74].float(), (32, 32), mode="bilinear", antialias=True)[0]
    assert torch.allclose(seen[0], expected, atol=1e-2)
    assert torch.allclose(seen[1], seen[0].flip(2), atol=1e-2)


def test_one_crop_is_what_training_looks_at():
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), np.uint8))
    seen = cut(images, views(crops_of(1, 64, 64, 32), 64, 64), 32)[:, 0]
    assert torch.allclose(seen, crop_and_resize(images, torch.tensor([[4, 4, 56, 56]] * 3), 32), atol=1e-3)


def network(last: str = "bn", aux: bool = False) -> Inception:
    """A small network with statistics and gammas that are not the initial ones."""

    def norm(name):
        return lambda channels, spatial: build_norm(name, channels, spatial=spatial, eps=1e-3)

    model = Inception(
        7, norm_layer=norm("bn"), last_norm_layer=norm(last), pixels=32, width=0.125, stem_reduction=4, aux=aux
    )
    torch.manual_seed(0)
    for name, tensor in model.state_dict().items():
        if "running_var" in name or "norm.weight" in name:
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif "running_mean" in name or "norm.bias" in name:
            tensor.copy_(torch.randn_like(tensor))
    return model.eval()


@pytest.mark.parametrize("last", ["bn", "per_activation"])
def test_a_folded_network_computes_the_same(last):
    model = network(last, aux=True)
    images = torch.rand(5, 3, 32, 32) * 2 - 1
    small = folded(model)
    with torch.no_grad():
        before, after = model(images), small(images)
    assert (before - after).abs().max() < 1e-5 * before.abs().max()
    left = sum("running_mean" in name for name in small.state_dict())
    assert left == (0 if last == "bn" else 7)  # the seven convolutions of 5b keep theirs
    assert any("norm" in name for name in model.state_dict())  # the given network is as it was


def test_probabilities_are_the_mean_over_all_144_crops():
    """Duplicates weighted, images of several sizes, in order."""
    rng = np.random.default_rng(0)
    small = folded(network())

    class Mixed:
        images = tuple(rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((40, 40), (40, 40), (36, 60), (40, 40)))

        def __len__(self):
            return len(self.images)

        def image(self, k):
            return self.images[k]

    found = mean_over_crops(small, Mixed(), 144, 32)
    for k, image in enumerate(Mixed.images):
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())
        every = crops_of(144, *image.shape[:2], 32)
        factors = np.array(image.shape[:2]) / every.frames
        sizes = every.boxes[:, 2:] * factors
        boxes = torch.from_numpy(np.column_stack([every.boxes[:, :2] * factors, sizes]))
        cropped = crop_and_resize(pixels.repeat(144, 1, 1, 1), boxes, 32, torch.from_numpy(every.mirrored))
        with torch.no_grad():
            logits = small(cropped / 255 * 2 - 1)
        assert np.allclose(found.probabilities[k], logits.softmax(1).mean(0), atol=1e-5)
        assert np.allclose(found.logits[k], logits.mean(0), atol=1e-4)


def test_batches_do_not_change_what_is_said():
    images = np.random.default_rng(1).integers(0, 256, (30, 3, 40, 40), np.uint8)
    small = folded(network())
    together = mean_over_crops(small, Pictures(images, None), 10, 32)
    alone = mean_over_crops(small, Pictures(images[11:12], None), 10, 32)
    assert np.allclose(together.probabilities[11:12], alone.probabilities, atol=1e-5)


def test_a_folder_of_pictures_is_known_by_what_is_in_them(tmp_path):
    """So that no prediction is taken for one of other pictures of the same names and sizes."""
    seen = set()
    (tmp_path / "tree").mkdir()
    for colour in ("red", "blue", "red"):
        Image.new("RGB", (16, 16), colour).save(tmp_path / "tree" / "a.bmp")
        seen.add(of_folder(tmp_path, [["n01", "tree"]]).fingerprint)
    assert len(seen) == 2


def test_a_folder_named_after_a_word_of_two_classes_is_refused(tmp_path):
    classes = [["n02012849", "crane"], ["n03126707", "crane"]]
    (tmp_path / "crane").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "crane" / "a.png")
    with pytest.raises(UserError, match="crane is the word for n02012849 and n03126707; name the folder after one"):
        of_folder(tmp_path, classes)
    (tmp_path / "crane").rename(tmp_path / "n03126707")
    assert of_folder(tmp_path, classes).labels.tolist() == [1]
