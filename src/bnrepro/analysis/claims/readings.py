"""The endpoints of the claims that the reports of Figures 1, 2 and 4 judge, by the rules of these reports.

The headlines are those that docs/figure2-rules.md lists: of Figures 2 to 4.
"""

from collections.abc import Callable
from functools import partial

from bnrepro.analysis.figures import figure1, figure2_claims, figure4
from bnrepro.analysis.reading.endpoints import Endpoint
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate, p_value, verdict

NO_P = "no p-value: "


def _points(what: str, estimate: Estimate, p: float | None = None, headline: bool = True) -> Endpoint:
    """A difference of accuracies that has to be above 0."""
    p = p_value(estimate, 0.0) if p is None else p
    return Endpoint(what, verdict(estimate, 0.0, above=True), estimate, p, "points", "difference", headline)


def _c31(plain: list[Record], bn: list[Record]) -> list[Endpoint]:
    lower = [verdict(figure1.accuracy_gain(plain, bn, s), 0.0, above=True) for s in figure1.not_above(plain, bn)]
    curve = "fails" if "fails" in lower else "inconclusive" if lower else "holds"
    gain = figure1.accuracy_gain(plain, bn, figure1.last_step(plain, bn))
    return [
        _points("gain at the end", gain, headline=False),
        Endpoint("mean curve above", curve, note=f"{NO_P}a rule over all evaluations"),
    ]


def _c32(plain: list[Record], bn: list[Record]) -> list[Endpoint]:
    ratio = figure1.drift_ratio(plain, bn)
    judged = verdict(ratio, 1.0, above=False)
    return [Endpoint("drift ratio", judged, ratio, p_value(ratio, 1.0, ratio=True), "times", "ratio", headline=False)]


def _c45(found: figure4.Evaluation) -> list[Endpoint]:
    return [_points("crops", figure4.crops_gain(found)), _points("networks", figure4.ensemble_gain(found))]


def _c46(found: figure4.Evaluation) -> list[Endpoint]:
    each = found.each_wrong(figure4.MOST)
    p = figure4.mcnemar(each[each.mean(1).argmin()], found.all_wrong(figure4.MOST))
    return [_points("best network minus all", figure4.best_gain(found), p=p)]


ENDPOINTS: dict[str, dict[str, Callable[..., list[Endpoint]]]] = {  # by report and claim
    "figure1": {"C31": _c31, "C32": _c32},
    "figure2": {name: partial(figure2_claims.endpoints, name) for name in figure2_claims.CLAIMS},
    "figure4": {"C45": _c45, "C46": _c46},
}
