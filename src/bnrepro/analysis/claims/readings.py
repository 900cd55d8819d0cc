"""The endpoints of the claims that the reports of Figures 1, 2 and 4 judge, by the rules of these reports.

Those of the paper's own reading are the headlines; the equal budget is a second look at the same claims.
"""

from collections.abc import Callable

from bnrepro.analysis import figure1, figure2_verdicts, figure4
from bnrepro.analysis.endpoints import Endpoint
from bnrepro.analysis.figure2 import BASELINE, Arms, at_chance, gain, speed_up, target
from bnrepro.analysis.load import Record
from bnrepro.analysis.statistics import Estimate, geometric, p_value, verdict

NO_P = "no p-value: "


def _points(what: str, estimate: Estimate, edge: float = 0.0, p: float | None = None) -> Endpoint:
    """A difference of accuracies that has to be above an edge."""
    p = p_value(estimate, edge) if p is None else p
    return Endpoint(what, verdict(estimate, edge, above=True), estimate, p, "points", "difference")


def _fewer(what: str, slow: list[Record], fast: list[Record], goal: float, times: float = 1.0) -> Endpoint:
    """A ratio of steps to a target that has to be above an edge; censored where a seed never gets there."""
    found, judged = speed_up(slow, fast, goal), figure2_verdicts.faster(slow, fast, goal, times)
    if not found.known or found.bound:
        return Endpoint(what, judged, note=f"{NO_P}censored, not every seed gets to the target")
    estimate = geometric(found.ratios)
    return Endpoint(what, judged, estimate, p_value(estimate, times, ratio=True), "times", "ratio")


def _count(what: str, happened: list[bool]) -> Endpoint:
    return Endpoint(what, figure2_verdicts.by_count(happened), note=f"{NO_P}a count of runs")


def _c31(plain: list[Record], bn: list[Record]) -> list[Endpoint]:
    lower = [verdict(figure1.accuracy_gain(plain, bn, s), 0.0, above=True) for s in figure1.not_above(plain, bn)]
    curve = "fails" if "fails" in lower else "inconclusive" if lower else "holds"
    return [
        _points("gain at the end", figure1.accuracy_gain(plain, bn, figure1.last_step(plain, bn))),
        Endpoint("mean curve above", curve, note=f"{NO_P}a rule over all evaluations"),
    ]


def _c32(plain: list[Record], bn: list[Record]) -> list[Endpoint]:
    ratio = figure1.drift_ratio(plain, bn)
    judged = verdict(ratio, 1.0, above=False)
    return [Endpoint("drift ratio", judged, ratio, p_value(ratio, 1.0, ratio=True), "times", "ratio")]


def _c33(arms: Arms, suffix: str) -> list[Endpoint]:
    without, with_ = arms[BASELINE], arms["bn_baseline"]
    return [_fewer("steps", without, with_, target(without)), _points("maxima", gain(without, with_))]


def _c34(arms: Arms, suffix: str) -> list[Endpoint]:
    goal = target(arms[BASELINE])
    return [_fewer("steps", arms["bn_baseline"], arms[f"bn_x5{suffix}"], goal, figure2_verdicts.HALF)]


def _c35(arms: Arms, suffix: str) -> list[Endpoint]:
    x5, x30 = arms[f"bn_x5{suffix}"], arms[f"bn_x30{suffix}"]
    return [_fewer("steps", x30, x5, target(arms[BASELINE])), _points("maxima", gain(x5, x30))]


def _c36(arms: Arms, suffix: str) -> list[Endpoint]:
    return [_count("runs that diverge", [record.diverged for record in arms["inception_x5"]])]


def _c37(arms: Arms, suffix: str) -> list[Endpoint]:
    relu, sigmoid = arms[f"bn_x5{suffix}"], arms[f"bn_x5_sigmoid{suffix}"]
    return [
        _count("runs that learn", [not (record.diverged or at_chance(record)) for record in sigmoid]),
        _points("maxima", gain(relu, sigmoid), -figure2_verdicts.FEW_POINTS),
    ]


def _c38(arms: Arms, suffix: str) -> list[Endpoint]:
    return [_count("runs that stay at chance", [at_chance(record) for record in arms["inception_sigmoid"]])]


def _c45(found: figure4.Evaluation) -> list[Endpoint]:
    return [_points("crops", figure4.crops_gain(found)), _points("networks", figure4.ensemble_gain(found))]


def _c46(found: figure4.Evaluation) -> list[Endpoint]:
    each = found.each_wrong(figure4.MOST)
    p = figure4.mcnemar(each[each.mean(1).argmin()], found.all_wrong(figure4.MOST))
    return [_points("best network minus all", figure4.best_gain(found), p=p)]


ENDPOINTS: dict[str, dict[str, Callable[..., list[Endpoint]]]] = {  # by report and claim
    "figure1": {"C31": _c31, "C32": _c32},
    "figure2": {"C33": _c33, "C34": _c34, "C35": _c35, "C36": _c36, "C37": _c37, "C38": _c38},
    "figure4": {"C45": _c45, "C46": _c46},
}
