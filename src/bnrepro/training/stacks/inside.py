"""What a probe measures in one network of a stack, by a processor beside the GPU."""

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from bnrepro.config.schema import Config
from bnrepro.probes.layers import LayerProbe
from bnrepro.training import build

_configs: dict[str, Config] = {}


@lru_cache(maxsize=4)
def _network(key: str, classes: int) -> nn.Module:
    return build.network(_configs[key], [0], torch.device("cpu"), classes)


def measured(
    config: Config, classes: int, state: dict[str, np.ndarray], batches: list[np.ndarray], step: int
) -> dict[str, np.ndarray]:
    """The values of `LayerProbe` at one step, by view.

    Args:
        config: of the network.
        classes: of its data set.
        state: of the network.
        batches: the probe set.
        step: at which the network is in that state.
    """
    torch.set_num_threads(1)
    key = repr((config.model, config.norm, config.data.pixels))
    _configs[key] = config
    network = _network(key, classes)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    probe = LayerProbe(network, network, [torch.from_numpy(batch) for batch in batches], [step])
    probe.look(step)
    return {view: values[0].numpy() for view, (values,) in probe.values.items()}
