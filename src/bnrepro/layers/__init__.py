"""The normalisations. A new one is one file here that calls ``@register``; every file here is imported below."""

import importlib
import pkgutil

from bnrepro.layers.registry import build_norm, norm_names, norm_options, register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["build_norm", "norm_names", "norm_options", "register"]
