"""The endpoints of the claims that the reports of Figures 2 and 4 judge, by docs/figure2-rules.md."""

from collections.abc import Callable
from functools import partial

from bnrepro.analysis.figures import figure2_claims, figure4
from bnrepro.analysis.reading.endpoints import Endpoint
from bnrepro.analysis.reading.statistics import Estimate, p_value, verdict


def _points(what: str, estimate: Estimate, p: float | None = None) -> Endpoint:
    """A difference of accuracies that has to be above 0."""
    p = p_value(estimate, 0.0) if p is None else p
    return Endpoint(what, verdict(estimate, 0.0, above=True), estimate, p, "points", "difference")


def _c45(evaluation: figure4.Evaluation) -> list[Endpoint]:
    return [_points("crops", figure4.crops_gain(evaluation)), _points("networks", figure4.ensemble_gain(evaluation))]


def _c46(evaluation: figure4.Evaluation) -> list[Endpoint]:
    each = evaluation.each_wrong(figure4.MOST)
    p = figure4.mcnemar(each[each.mean(1).argmin()], evaluation.all_wrong(figure4.MOST))
    return [_points("best network minus all", figure4.best_gain(evaluation), p=p)]


ENDPOINTS: dict[str, dict[str, Callable[..., list[Endpoint]]]] = {  # by report and claim
    "figure2": {name: partial(figure2_claims.endpoints, name) for name in figure2_claims.CLAIMS},
    "figure4": {"C45": _c45, "C46": _c46},
}
