"""``scripts/export.py``: a trained network as a folder that timm loads, with nothing of the training side."""

import argparse
import shutil
import sys
from pathlib import Path

import torch

from bnrepro.errors import UserError
from bnrepro.models import registered
from bnrepro.records.named import named
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
    """Write ``out``/model.safetensors and timm's config.json, and beside them the run's own config and status.

    Raises:
        UserError: the run cannot be used (see `trained`), or ``out`` has something else in it.
    """
    network = trained(run, torch.device("cpu"))
    name, options = arguments(network)
    pixels = network.config.data.pixels
    if out.exists() and any(out.iterdir()) and not (out / "model.safetensors").exists():
        raise UserError(f"{out} is not empty and no export; choose another folder with --out")
    registered.save(name, options, network.network.state_dict(), out, pixels, dict(network.classes), run=network.name)
    for file in ("config.yaml", "status.json"):
        shutil.copyfile(run / file, out / f"run.{file}")


def main(words: list[str] | None = None) -> int:
    """Export, and say how to load it."""
    parser = argparse.ArgumentParser(description="A trained network as a folder that timm.create_model loads.")
    parser.add_argument("run", nargs="+", help="finished runs: directories, names or patterns")
    parser.add_argument("--out", type=Path, help="default: RUN/export; of several runs, a folder with one for each")
    options = parser.parse_args(words)
    try:
        runs = named(options.run)
        for run in runs:
            out = (options.out if len(runs) == 1 else options.out / run.name) if options.out else run / "export"
            export(run, out)
            load = f"timm.create_model('local-dir:{out}', pretrained=True)"
            print(f"{out}: import bnrepro.models.registered, timm; {load}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
