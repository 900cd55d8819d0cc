"""A trained network as a folder that timm loads, with nothing of the training side."""

import shutil
from pathlib import Path

import torch

from bnrepro.errors import UserError
from bnrepro.models import registered
from bnrepro.training.build import own_norm_options
from bnrepro.use.trained import Trained, trained


def arguments(network: Trained) -> tuple[str, dict[str, object]]:
    """The name and the options with which ``timm.create_model`` builds a run's network."""
    model, norm = network.config.model, network.config.norm
    if network.of_digits:
        options = {"kind": model.name, "hidden": list(model.hidden), "nonlinearity": model.nonlinearity}
        options |= {"norm": norm.name, "norm_eps": norm.eps, "ema_decay": norm.ema_decay, "affine": norm.affine}
        options |= {"norm_options": own_norm_options(network.config), "norm_placement": norm.placement}
        return "mnist_digits", options | {"binarize_above": network.config.data.binarize_above}
    name = ("" if norm.name == "none" else "bn_") + model.name
    options = {
        "norm": norm.name,
        "norm_eps": norm.eps,
        "ema_decay": norm.ema_decay,
        "norm_placement": norm.placement,
        "nonlinearity": model.nonlinearity,
        "pixels": network.config.data.pixels,
        "width": model.width,
        "stem_reduction": model.stem_reduction,
        "separable": model.separable,
        "drop_rate": model.dropout,
        "lrn": model.lrn,
        "lrn_alpha": model.lrn_alpha,
        "aux": model.aux,
    }
    own = own_norm_options(network.config)
    if norm.last:
        own |= own_norm_options(network.config, norm.last)
    if own:
        options["norm_options"] = own
    if model.name == "inception":
        return name, options | {"projection_4cd": model.projection_4cd, "last_norm": norm.last}
    return name, options | {"reduce_5a": model.reduce_5a}


def export(run: Path, out: Path) -> None:
    """Write ``out``/model.safetensors and timm's config.json, and beside them the run's own config and status."""
    network = trained(run, torch.device("cpu"))
    name, options = arguments(network)
    pixels = network.config.data.pixels
    if out.exists() and any(out.iterdir()) and not (out / "model.safetensors").exists():
        raise UserError(f"{out} is not empty and no export; choose another folder with --out")
    registered.save(name, options, network.network.state_dict(), out, pixels, dict(network.classes), run=network.name)
    for file in ("config.yaml", "status.json"):
        shutil.copyfile(run / file, out / f"run.{file}")
