"""Drawings of claims for a reader: each shows the records of some arms, for one claim or a few.

Lines are means over seeds, and bands are their whole range. A panel without records says "not measured yet".
"""

from bnrepro.analysis.claims.drawings.accuracy import changes, company, ladders, noise, without_gradient
from bnrepro.analysis.claims.drawings.inside import before_after, depth, linear_regime, saturation, weight_growth

__all__ = ["before_after", "changes", "company", "depth", "ladders", "linear_regime", "noise", "saturation"]
__all__ += ["weight_growth", "without_gradient"]
