"""A trained network as a folder that timm loads without the training code."""

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError

from bnrepro.errors import UserError
from bnrepro.models import registered
from bnrepro.training.build import image_options, options_of_norm
from bnrepro.use.trained import Trained, trained


def arguments(network: Trained) -> tuple[str, dict[str, object]]:
    """Return the name and the options with which ``timm.create_model`` builds a run's network."""
    config, model, norm = network.config, network.config.model, network.config.norm
    options = {"norm": norm.name, "norm_eps": norm.eps, "ema_decay": norm.ema_decay, "affine": norm.affine}
    options["norm_options"] = options_of_norm(config) | options_of_norm(config, norm.last)
    if network.of_digits:
        options |= {"kind": model.name, "hidden": list(model.hidden), "nonlinearity": model.nonlinearity}
        options |= {"norm_placement": norm.placement, "binarize_above": config.data.binarize_above}
        return "mnist_digits", options
    name = model.name if norm.name == "none" else f"bn_{model.name}"
    return name, options | image_options(config) | {"last_norm": norm.last}


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
