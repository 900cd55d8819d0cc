"""A trained network as a folder that timm loads without the training code."""

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError

from bnrepro.errors import UserError
from bnrepro.models import registered
from bnrepro.training.build import own_norm_options
from bnrepro.use.trained import Trained, trained

SHARED = ("nonlinearity", "width", "stem_reduction", "separable", "lrn", "lrn_alpha", "aux")  # of `config.model`


def arguments(network: Trained) -> tuple[str, dict[str, object]]:
    """Return the name and the options with which ``timm.create_model`` builds a run's network."""
    model, norm = network.config.model, network.config.norm
    norm_options = own_norm_options(network.config)
    options = {"norm": norm.name, "norm_eps": norm.eps, "ema_decay": norm.ema_decay, "norm_placement": norm.placement}
    options["affine"] = norm.affine
    if network.of_digits:
        options |= {"kind": model.name, "hidden": list(model.hidden), "nonlinearity": model.nonlinearity}
        options |= {"norm_options": norm_options, "binarize_above": network.config.data.binarize_above}
        return "mnist_digits", options
    options |= {name: getattr(model, name) for name in SHARED}
    options |= {"drop_rate": model.dropout, "pixels": network.config.data.pixels}
    if norm.last:
        norm_options |= own_norm_options(network.config, norm.last)
    if norm_options:
        options["norm_options"] = norm_options
    name = model.name if norm.name == "none" else f"bn_{model.name}"
    if model.name == "inception":
        return name, options | {"projection_4cd": model.projection_4cd, "last_norm": norm.last}
    return name, options | {"reduce_5a": model.reduce_5a}


def export(run: Path, out: Path) -> None:
    """Write model.safetensors and timm's config.json to ``out``, and the run's own config and status beside them."""
    network = trained(run, torch.device("cpu"))
    name, options = arguments(network)
    pixels = network.config.data.pixels
    if out.exists() and any(out.iterdir()) and not (out / "model.safetensors").exists():
        raise UserError(f"{out} is not empty and no export; choose another folder with --out")
    weights, classes = network.network.state_dict(), dict(network.classes)
    try:
        registered.save(name, options, weights, out, pixels, classes, run=network.name)
    except SafetensorError as error:  # it stands for the OSError of a full disk
        raise UserError(f"{out / 'model.safetensors'}: {error}; free some space, or name another --out") from None
    for file in ("config.yaml", "status.json"):
        shutil.copyfile(run / file, out / f"run.{file}")
