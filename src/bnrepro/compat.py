"""Importing torchvision beside a CPU build of torch.

torchvision's compiled operators are linked against CUDA libraries on Linux; without those the import itself fails,
although nothing here uses them. Where the library cannot be loaded, the two operators that the import looks for are
declared and never defined. On a CUDA or macOS installation the real library is loaded and nothing changes.
"""

import importlib.util
from pathlib import Path

import torch
from torch import library

_declared: library.Library | None = None  # a declaration lives as long as this reference


def ensure_torchvision() -> None:
    """Make ``import torchvision`` work; call it before the first one."""
    global _declared
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _declared is not None:
        return
    compiled = next(Path(spec.origin).parent.glob("_C*.so"), None)
    try:
        if compiled is None:
            raise OSError("torchvision has no compiled operators")
        torch.ops.load_library(str(compiled))
    except OSError:
        _declared = library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            _declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
