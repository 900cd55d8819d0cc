"""Which program measures which claim."""

from collections.abc import Callable

from bnrepro.identities import convolution, counts, gradients, inference, scaling, statistics, toys, whitening
from bnrepro.identities.common import Numbers

PROGRAMS: dict[str, Callable[[], Numbers]] = {
    "C03": gradients.upper_network,
    "C06": toys.bias_growth,
    "C07": toys.scale_growth,
    "C08": whitening.cost,
    "C09": statistics.lost_scale,
    "C11": statistics.restored_identity,
    "C12": statistics.moments,
    "C14": inference.batch_mates,
    "C16": inference.fixed_statistics,
    "C17": gradients.bias,
    "C20": convolution.maps,
    "C22": scaling.outputs,
    "C23": scaling.jacobians,
    "C24": scaling.weight_gradients,
    "C30": counts.extra_parameters,
    "C44": counts.appendix,
    "S4": statistics.equal_moments,
    "S6": statistics.small_activations,
    "S7": statistics.restored_identity,
    "S9": convolution.maps_and_place,
    "S10": whitening.whitening,
}
