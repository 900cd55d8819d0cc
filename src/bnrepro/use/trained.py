"""Trained networks, loaded from the directories of their runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from bnrepro.config.schema import Config, Data
from bnrepro.data import load
from bnrepro.errors import UserError
from bnrepro.models.digits import DigitReader
from bnrepro.models.folded import folded
from bnrepro.models.trunk import Trunk
from bnrepro.records.run import RunDirectory
from bnrepro.training import build, checkpoint
from bnrepro.training.validation import typed


@dataclass(frozen=True)
class Trained:
    """The network of a finished run.

    ``network`` is in evaluation mode and not folded. A network of binary digits is wrapped to read pictures of 28 px.
    ``classes`` are (identifier, words) in the order of the logits. ``digest`` identifies weights and statistics.
    """

    name: str
    config: Config
    status: dict[str, Any]
    network: Trunk | DigitReader
    classes: list[list[str]]
    digest: str

    @property
    def of_digits(self) -> bool:
        """Return whether the network reads binary digits."""
        return build.of_digits(self.config)

    def data(self, root: str | None = None) -> Data:
        """Return the options of the data that it was trained on; they lie in ``root``, or in the folder of its scale.

        Raise a `UserError` if other data lie there.
        """
        home = self.config.data.root if self.of_digits else self.config.scale["imagenet"]["root"]
        options = replace(self.config.data, root=root or home)
        if load.fingerprint(options) != self.status["data_fingerprint"]:
            raise UserError(f"{options.root} is not the data set that {self.name} was trained on")
        return options

    def network_function(self) -> Callable[[Tensor], Tensor]:
        """Return a function from images (N, 3, pixels, pixels) in [-1, 1] to logits (N, classes) in float32.

        It is fast: batch normalisers are folded into the convolutions, and the precision is that of training.
        """
        network = self.network if self.of_digits else folded(self.network)
        device, mixed = next(network.parameters()).device, self.config.training.precision == "bfloat16"

        @torch.no_grad()
        def predict(images: Tensor) -> Tensor:
            images = images.to(device).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                return network(images).float()

        return predict


def trained(directory: Path, device: torch.device) -> Trained:
    """Load the network of a finished run, with the population statistics of Alg. 2."""
    run = RunDirectory(directory)
    status = run.status()
    if not status:
        raise UserError(f"no run in {directory}; python scripts/status.py lists the runs")
    again = f"run: {status['command']}"
    if status["state"] != "finished":
        raise UserError(f"{run.name} is {status['state']} at step {status['step']:,}; {again}")
    try:
        config = typed(OmegaConf.load(directory / "config.yaml"))
    except (OSError, OmegaConfBaseException) as error:
        raise UserError(f"{directory / 'config.yaml'} cannot be read ({str(error).splitlines()[0]})") from None
    if config.data.inputs != "raw":
        raise UserError(f"{run.name} was trained on {config.data.inputs} images, which a picture cannot be made to be")
    state = checkpoint.load(run.checkpoint, run.name)
    if state is None:
        raise UserError(f"the checkpoint of {run.name} is gone; to train it again, move {directory} away and {again}")
    if "statistics" not in state:
        raise UserError(f"the checkpoint of {run.name} is of an older version; move it away, and {again}")
    network = build.network(config, [status["seed"]], device, len(state["classes"]))
    network.load_state_dict(state["model"])
    network.load_state_dict(state["statistics"], strict=False)
    digest = checkpoint.digest(network.state_dict())
    if build.of_digits(config):
        network = DigitReader(network, config.data.binarize_above)
    return Trained(run.name, config, status, network.eval(), state["classes"], digest)


def check_together(networks: list[Trained], same_data: bool) -> None:
    """Raise a `UserError` unless the networks can answer together.

    With ``same_data`` they are evaluated on the held-out images of their own data, which have to be the same images.
    """
    first = networks[0]
    for other in networks[1:]:
        pair = f"{first.name} and {other.name}"
        if other.classes != first.classes:
            sizes = f"{len(first.classes)} and {len(other.classes)}"
            raise UserError(f"{pair} do not know the same classes ({sizes}); choose others")
        if other.of_digits != first.of_digits:
            raise UserError(f"one of {pair} reads binary digits, the other pictures; choose others")
        data = [(network.status["data_fingerprint"], network.config.data.split) for network in (first, other)]
        if same_data and data[0] != data[1]:
            raise UserError(f"{pair} are judged on different images; choose others, or images=")
    if len({network.digest for network in networks}) < len(networks):
        raise UserError("the same network is there twice; name each run once")
