"""Odd image files and corrupt ones: decoded to what they show; told apart, replaced in training, named."""

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from bnrepro.data.decode import CorruptImage, decode
from bnrepro.errors import UserError
from fake_imagenet import WNIDS, encoded, jpeg, streamed

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


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_what_is_transparent_lies_on_white(mode):
    """A black bar; everything else is black, too, and transparent. The last two have a transparent colour instead."""
    if mode in ("RGBA", "LA"):
        image, options = Image.new(mode, (28, 28)), {}
        image.paste(Image.new(mode, (2, 18), "black"), (13, 5))
    else:
        image, options = Image.new(mode, (28, 28), 1), {"transparency": 1}
        image.paste(0, (13, 5, 15, 23))
        if mode == "P":
            image.putpalette([0, 0, 0, 9, 9, 9])
    expected = np.full((28, 28, 3), 255, np.uint8)
    expected[5:23, 13:15] = 0
    np.testing.assert_array_equal(decode(encoded(image, "PNG", **options)), expected)


def test_colours_that_are_opaque_stay_as_they_are_and_others_are_mixed_with_white():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colours = np.stack([grey, grey.T, 255 - grey], 2)
    for alpha, expected in ((255, colours), (0, np.full_like(colours, 255)), (51, 204 + colours / 5)):
        rgba = np.concatenate([colours, np.full((16, 16, 1), alpha, np.uint8)], 2)
        shown = decode(encoded(Image.fromarray(rgba), "PNG"))
        assert np.abs(shown - expected).max() <= (1 if alpha == 51 else 0)


def test_a_turned_image_is_turned_however_long_the_comments_before_its_orientation_are():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(HALVES), quality=100, subsampling=0, exif=exif)
    comment = b"\xff\xfe" + (60_002).to_bytes(2, "big") + bytes(60_000)
    assert np.array_equal(decode(content[:2] + 2 * comment + content[2:]), decode(content))
    assert decode(content).shape == (32, 16, 3)


def bomb(**options) -> bytes:
    """A small JPEG whose header promises 3.6 gigapixels."""
    content = encoded(Image.fromarray(HALVES), **options)
    size = content.index(b"\xff\xc0") + 5  # in the frame's header
    return content[:size] + 2 * (60_000).to_bytes(2, "big") + content[size + 4 :]


@pytest.mark.parametrize("options", [{}, {"exif": Image.Exif()}], ids=["plain", "exif"])
def test_a_decompression_bomb_is_a_corrupt_file_and_is_not_decoded(options, monkeypatch):
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    with pytest.raises(CorruptImage, match="decompression bomb"):
        decode(bomb(**options))


@pytest.mark.parametrize("content", [b"", b"no image", jpeg(1)[:700], jpeg(1)[:20]])
def test_corrupt_files_are_told_apart(content):
    with pytest.raises(CorruptImage):
        decode(content)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("part", ["train", "val"])
def test_a_corrupt_image_ends_the_run_with_its_name(root, part, workers):
    bad = sorted((root / part / WNIDS[1]).iterdir())[0]
    bad.write_bytes(bad.read_bytes()[:500])
    data = streamed(root, batch_size=5, workers=workers)
    with pytest.raises(UserError, match=rf"{bad.name} cannot be decoded .*prepare_data"):
        if part == "val":
            list(data.evaluation_batches())
        for step in range(data.steps_per_epoch):
            data.batch(0, step)
