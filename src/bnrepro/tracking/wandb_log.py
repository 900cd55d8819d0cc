"""The steps that a local W&B file holds, read without W&B's own tools: what `wandb sync` would send of it.

The file is a LevelDB log of protocol buffers: after 7 bytes, blocks of 32 KiB in which each piece of a record has a
header of checksum, length and kind. A process that was killed leaves a torn end, which is where reading stops.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

FILE_HEADER, BLOCK = 7, 32 * 1024
PIECE = struct.Struct("<IHB")  # checksum, length, kind
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def messages(path: Path) -> Iterator[bytes]:
    """Every whole record of the file, as serialised bytes."""
    data = path.read_bytes()
    at, parts = FILE_HEADER, b""
    while at + PIECE.size <= len(data):
        room = BLOCK - at % BLOCK
        if room < PIECE.size:  # the end of a block is padding
            at += room
            continue
        _, length, kind = PIECE.unpack_from(data, at)
        piece = data[at + PIECE.size : at + PIECE.size + length]
        at += PIECE.size + length
        if kind not in (WHOLE, FIRST, MIDDLE, LAST) or len(piece) < length:
            return
        parts = piece if kind in (WHOLE, FIRST) else parts + piece
        if kind in (WHOLE, LAST):
            yield parts


def history(path: Path) -> Iterator[dict[str, float]]:
    """Every logged row, with its ``_step``; nested keys are joined with dots."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    for message in messages(path):
        try:
            record = Record.FromString(message)
        except DecodeError:
            return
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
            yield row | {"_step": record.history.step.num}


def last_step(path: Path) -> int:
    """The last step of a local W&B file; -1 if it holds no row."""
    return max((int(row["_step"]) for row in history(path)), default=-1)
