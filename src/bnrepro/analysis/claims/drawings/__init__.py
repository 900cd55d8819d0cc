"""Claims drawn for a reader: each drawing is a figure of some records, made for what one claim is about.

Lines are means over seeds and bands their whole range. What has no record yet is said to be not measured yet.
"""

from bnrepro.analysis.claims.drawings.causes import changes, noise
from bnrepro.analysis.claims.drawings.layers import depth, singular_values
from bnrepro.analysis.claims.drawings.nonlinearities import before_after, linear_regime, saturation
from bnrepro.analysis.claims.drawings.normalisation import company, whitening, without_gradient
from bnrepro.analysis.claims.drawings.rates import ladders, weight_growth

__all__ = [
    "before_after",
    "changes",
    "company",
    "depth",
    "ladders",
    "linear_regime",
    "noise",
    "saturation",
    "singular_values",
    "weight_growth",
    "whitening",
    "without_gradient",
]
