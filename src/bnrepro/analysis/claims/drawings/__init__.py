"""Claims drawn for a reader: each drawing is a figure of some records, made for what one claim is about.

Lines are means over seeds and bands their whole range. What has no record yet is said to be not measured yet.
"""

from bnrepro.analysis.claims.drawings.accuracy import changes, company, ladders, noise, whitening, without_gradient
from bnrepro.analysis.claims.drawings.inside import (
    before_after,
    depth,
    linear_regime,
    saturation,
    singular_values,
    weight_growth,
)

__all__ = ["before_after", "changes", "company", "depth", "ladders", "linear_regime", "noise", "saturation"]
__all__ += ["singular_values", "weight_growth", "whitening", "without_gradient"]
