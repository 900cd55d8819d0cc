"""Image files decoded to RGB bytes: JPEG, PNG and others; grey, CMYK or 16 bits; rotated by EXIF."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

# UnidentifiedImageError is an OSError.
UNREADABLE = (Image.DecompressionBombError, OSError, ValueError, SyntaxError, struct.error, zlib.error)
JPEG = b"\xff\xd8"
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright


class CorruptImage(Exception):
    """An image that cannot be decoded; the message says why."""


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """Open an image with Pillow; any failure to read it is a `CorruptImage`."""
    try:
        yield Image.open(io.BytesIO(content))
    except UNREADABLE as error:
        raise CorruptImage(str(error).partition("\n")[0]) from None


def _is_rotated(content: bytes) -> bool:
    with _opened(content) as image:
        return image.getexif().get(ORIENTATION, 1) != 1


def decode(content: bytes) -> np.ndarray:
    """Return an image as (H, W, 3) uint8: upright, grey repeated, CMYK converted, 16 bits scaled down.

    What is transparent lies on white. A file that is truncated or no image raises `CorruptImage`.
    """
    if content.startswith(JPEG):
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(content)
            small = height * width <= 2 * Image.MAX_IMAGE_PIXELS  # Pillow's own limit
            # Only a file with an EXIF block can be rotated.
            if small and not (b"Exif\x00\x00" in content and _is_rotated(content)):
                return simplejpeg.decode_jpeg(content, "RGB")
        except (*UNREADABLE, CorruptImage):  # it is CMYK, or it has a fault that Pillow names better
            pass
    with _opened(content) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # Pillow's own conversion clips 16 bits instead of scaling them
            high_bytes = (np.asarray(image, np.int64) >> 8).clip(0, 255).astype(np.uint8)
            return np.repeat(high_bytes[..., None], 3, axis=2)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.asarray(image.convert("RGB"))
