"""What figures hand to the ledger: two families of p-values, and verdicts that stand only once adjusted."""

import json
from functools import cache

import numpy as np
import pytest
from scipy import stats

from bnrepro.analysis.claims import reported, table
from bnrepro.analysis.figures import figure2_claims, figure2_table
from bnrepro.analysis.reading.endpoints import Endpoint, above, adjust
from bnrepro.analysis.reading.statistics import Estimate, geometric, holm, p_value
from bnrepro.errors import UserError
from conftest import ROOT
from fake_records import paper_like

RESULTS = ROOT / "results"
SURE = Estimate(0.5, 0.1, 0.4, 0.6, 3)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.1, 0.3, "holds"), (-0.3, -0.1, "fails"), (-0.1, 0.3, "inconclusive")]
)
def test_an_endpoint_takes_the_whole_interval(low, high, expected):
    endpoint = above("gain", Estimate((low + high) / 2, 0.1, low, high, 5), "points")
    assert endpoint.verdict == expected and 0 < endpoint.p < 1
    alone = above("gain", Estimate(0.2, np.nan, np.nan, np.nan, 1), "points")
    assert (alone.verdict, alone.p) == ("inconclusive", None)


def test_holm_is_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1]) and len(holm([])) == 0


def test_the_endpoints_of_figures_are_one_family():
    endpoints = [Endpoint("a", "holds", SURE, p) for p in (0.01, 0.045, 0.012)]
    endpoints.append(Endpoint("censored", "fails", note="no p-value: censored"))
    adjust(endpoints, holm)
    assert [endpoint.q for endpoint in endpoints[:3]] == pytest.approx([0.03, 0.045, 0.03]) and endpoints[3].q is None
    adjust(lost := [Endpoint("b", "holds", SURE, p) for p in (0.03, 0.9)], holm)
    assert [endpoint.verdict for endpoint in [*endpoints, *lost]] == ["holds"] * 3 + ["fails"] + ["inconclusive"] * 2
    assert lost[0].note == "by its interval alone it holds; the adjusted p decides"
    assert endpoints[3].note == "no p-value: censored"


def test_the_p_value_goes_with_the_interval():
    values = np.array([0.1, 0.4, 0.3])
    low = Estimate.of(values).low
    assert p_value(Estimate.of(values), low) == pytest.approx(0.05)
    assert p_value(Estimate.of(values), low, 99.0) == pytest.approx(0.05)  # the nearest edge
    assert p_value(geometric(values), geometric(values).high, ratio=True) == pytest.approx(0.05)
    assert p_value(Estimate.of(values[:1]), 0.0) is None and p_value(Estimate(np.inf, np.nan, 0, 0, 3), 0.0) is None


@cache
def rows() -> dict[str, dict]:
    return {row["id"]: row for row in json.loads((RESULTS / "claims.json").read_text())}


def test_every_reading_of_a_figure_is_in_an_adjustment_or_says_why_not():
    endpoints = [one for row in rows().values() for part in row["ours"] for one in part.get("endpoints", [])]
    assert len(endpoints) >= 10
    for one in endpoints:
        assert (one["q"] is None) == (one["p"] is None) and (one["p"] is not None or one["note"])
        assert one["q"] is None or (one["p"] <= one["q"] and len(one["interval"]) == 2 and one["n"] > 1)
    headlines = [one for one in endpoints if one["family"] == "headline" and one["p"] is not None]
    assert [one["q"] for one in headlines] == pytest.approx(holm([one["p"] for one in headlines]), rel=0.01)
    directional = [one for row in rows().values() for one in row["ours"] if one["family"] == "directional"]
    rest = [part for part in directional if part.get("p") is not None]
    expected = stats.false_discovery_control([one["p"] for one in rest])
    assert [one["q"] for one in rest] == pytest.approx(expected, rel=0.01)


def test_the_ledger_shows_the_adjusted_p_or_why_there_is_none():
    endpoints = [{"what": "gain", "q": 0.031, "note": ""}, {"what": "steps", "q": None, "note": "no p-value: censored"}]
    part = {"family": "reported", "what": "w", "reading": "", "rule": "r", "n": 5, "verdict": "holds"}
    parts = table.parts({"ours": [part | {"endpoints": endpoints}]})
    assert parts.rows[0][parts.head.index("adjusted p")] == "gain: 0.031; steps: no p-value: censored"


def test_a_ratio_of_steps_has_one_interval(tmp_path):
    """The line of a claim and that of the table are of the same two arms."""
    arms = paper_like(tmp_path)
    ours = figure2_claims.words(figure2_claims.endpoints("C34", arms)[0])
    (line,) = [row for row in figure2_table.reading(arms, ["bn_x5_equal"]).rows if "BN-x5" in row]
    interval = ours.split(": ")[1]
    assert "[" in interval and interval in line


def test_a_report_that_judges_no_such_claim_is_one_line():
    with pytest.raises(UserError, match="C99: the report figure4 does not judge it; it judges C45, C46"):
        reported.reported("figure4", "C99", RESULTS)
    with pytest.raises(UserError, match="no report figure44 judges claims; did you mean figure4"):
        reported.reported("figure44", "C31", RESULTS)
