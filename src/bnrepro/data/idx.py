"""Reading gzip'd idx files (the MNIST distribution's format), and telling what is wrong with a bad one."""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from bnrepro.errors import UserError

UBYTE = 0x08  # the type code in the magic number's third byte; the fourth is the number of axes


def read_idx(path: Path, axes: int, sha256: str = "", remedy: str = "fetch the file again") -> np.ndarray:
    """Read a gzip'd file of unsigned bytes with so many axes.

    ``sha256`` is of the contents, which do not depend on who compressed them; if it is empty, they are not checked.
    ``remedy`` says what to do about a bad file.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; {remedy}")
    try:
        with gzip.open(path) as file:
            raw = file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is truncated or not gzip ({error}); {remedy}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    checksum = hashlib.sha256(raw).hexdigest()
    if sha256 and checksum != sha256:
        raise UserError(f"{path} has contents of checksum {checksum[:12]}..., expected {sha256[:12]}...; {remedy}")
    expected = bytes([0, 0, UBYTE, axes])
    if raw[:4] != expected:
        raise UserError(f"{path} has magic number {raw[:4].hex()}, expected {expected.hex()}; it is another file")
    header = 4 + 4 * axes
    if len(raw) < header:
        raise UserError(f"{path} ends inside its header; fetch the file again")
    shape = struct.unpack(f">{axes}I", raw[4:header])
    if len(raw) - header != math.prod(shape):
        raise UserError(f"{path} holds {len(raw) - header} values, its header says {math.prod(shape)}; fetch it again")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
