"""Image files as RGB bytes, whatever is in them: grey, CMYK, 16 bits, turned by EXIF, or not a JPEG at all."""

import io
import struct
import zlib

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    zlib.error,
)
JPEG = b"\xff\xd8"
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright


class CorruptImage(Exception):
    """An image that cannot be decoded; the message says why."""


def kind(content: bytes) -> str:
    """What is unusual about an image file: ``rgb`` for nothing, ``grey``, ``cmyk``, ``16 bit``, ``rotated``, ``other``.

    Raises `CorruptImage` if its header cannot be read.
    """
    try:
        image = Image.open(io.BytesIO(content))
        turned = image.getexif().get(ORIENTATION, 1) != 1
    except UNREADABLE as error:
        raise CorruptImage(str(error).splitlines()[0]) from None
    if image.mode.startswith("I"):
        return "16 bit"
    if turned:
        return "rotated"
    return {"RGB": "rgb", "L": "grey", "1": "grey", "CMYK": "cmyk"}.get(image.mode, "other")


def _with_pillow(content: bytes) -> np.ndarray:
    try:
        image = Image.open(io.BytesIO(content))
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # Pillow's own conversion cuts off at 255 instead of scaling
            wide = np.asarray(image, np.int64)
            return np.repeat((wide >> 8).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
        return np.asarray(image.convert("RGB"))
    except UNREADABLE as error:
        raise CorruptImage(str(error).splitlines()[0]) from None


def _upright(content: bytes) -> bool:
    """Whether a JPEG needs no turning; only files with an EXIF block, wherever it is, are looked at closely."""
    if b"Exif\x00\x00" not in content:
        return True
    return Image.open(io.BytesIO(content)).getexif().get(ORIENTATION, 1) == 1


def decode(content: bytes) -> np.ndarray:
    """The image as (H, W, 3) uint8, upright, grey repeated, CMYK converted, 16 bits scaled down.

    Raises `CorruptImage` if it is truncated or no image.
    """
    if content[:2] == JPEG:
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(content)
            if height * width <= 2 * Image.MAX_IMAGE_PIXELS and _upright(content):  # Pillow's own limit
                return simplejpeg.decode_jpeg(content, "RGB")
        except UNREADABLE:  # CMYK, or a fault that Pillow names better
            pass
    return _with_pillow(content)
