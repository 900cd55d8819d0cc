"""Instruments: what the paper's claims need measured inside a network while it trains, one number a layer and look.

An instrument is a function of a `Scene`; it gives arrays (L,) by the name of the quantity, one value a site (see
`sites`), and leaves the network as it found it. The network is in training mode. ``probe.instruments=[gradients,...]``
chooses them for any run.
"""

from collections.abc import Callable

from bnrepro.probes.of_activations import batch_noise, gaussianity, linearity, moments, saturation, weights
from bnrepro.probes.of_gradients import amplification, gradients, jacobian, shift
from bnrepro.probes.scene import Quantities, Scene

INSTRUMENTS: dict[str, Callable[[Scene], Quantities]] = {
    function.__name__: function
    for function in (
        gradients,
        weights,
        moments,
        saturation,
        linearity,
        gaussianity,
        shift,
        amplification,
        jacobian,
        batch_noise,
    )
}
