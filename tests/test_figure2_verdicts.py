"""The verdicts on the claims of Figures 2 and 3, on synthetic records on either side of each rule."""

from pathlib import Path

import pytest

from bnrepro.analysis.figure2_verdicts import CLAIMS, UNTESTED, by_count, every, faster, judge, readings
from bnrepro.analysis.load import Record
from fake_records import arm, line, paper_like

NEAR = (-0.001, 0.0, 0.001)  # seeds that agree
FAR = (-0.03, 0.0, 0.03)  # seeds that do not


def test_verdicts_of_the_paper(tmp_path):
    """The synthetic networks behave as the paper's, but that BN-x5-Sigmoid is 14 points behind."""
    arms = paper_like(tmp_path)
    found = {claim: judge(claim, arms) for claim in CLAIMS}
    expected = dict.fromkeys(CLAIMS, "holds") | {"C37": "fails"}
    assert found == expected
    assert {claim: judge(claim, arms, "_equal") for claim in CLAIMS if len(readings(claim)) > 1} == dict.fromkeys(
        ("C34", "C35", "C37"), UNTESTED
    )


def curves_of(folder: Path, variant: str, ends: list[int], top: float, **changes) -> list[Record]:
    return arm(folder / variant, variant, [line(end, top) for end in ends], **changes)


def test_faster_in_every_outcome(tmp_path):
    slow = curves_of(tmp_path, "inception", [800, 800, 800], 0.3)
    half = curves_of(tmp_path, "bn_baseline", [400, 400, 400], 0.3)
    mixed = curves_of(tmp_path, "bn_x5", [200, 1000, 600], 0.3)
    never = curves_of(tmp_path, "bn_x30", [200, 200, 200], 0.2)
    assert faster(slow, half, 0.3) == "holds"
    assert faster(half, slow, 0.3) == "fails"
    assert faster(slow, half, 0.3, times=3) == "fails"
    assert faster(slow, mixed, 0.3) == "inconclusive"
    assert faster(slow, never, 0.3) == "fails"
    assert faster(never, never, 0.3) == "inconclusive"  # neither gets there: nothing is known
    assert faster(never, half, 0.3, times=3) == "inconclusive"  # 1000 / 400 is only a lower bound
    assert faster(slow[:1], half[:1], 0.3) == faster(slow[:1], never[:1], 0.3) == "inconclusive"  # one seed


def test_parts_and_counts():
    assert every("holds", "holds") == "holds" and every("holds", "inconclusive") == "inconclusive"
    assert every("inconclusive", "fails") == "fails"
    assert by_count([True]) == "holds" and by_count([False, False]) == "fails"
    assert by_count([True, False]) == "inconclusive"


@pytest.mark.parametrize(("low", "expected"), [(0.31, "holds"), (0.27, "fails"), (None, "inconclusive")])
def test_c37_measures_against_five_points(tmp_path, low, expected):
    relu = arm(tmp_path, "bn_x5", [line(200, top) for top in (0.33, 0.33, 0.33)])
    tops = (low, low + 0.001, low + 0.002) if low else (0.2, 0.3, 0.33)
    sigmoid = arm(tmp_path, "bn_x5_sigmoid", [line(200, top) for top in tops])
    assert judge("C37", {"bn_x5": relu, "bn_x5_sigmoid": sigmoid}) == expected


def test_c37_fails_for_a_network_at_chance_however_near(tmp_path):
    relu = arm(tmp_path, "bn_x5", [line(200, 0.021)] * 3)
    assert judge("C37", {"bn_x5": relu, "bn_x5_sigmoid": relu}) == "fails"


@pytest.mark.parametrize(
    ("end", "top", "spread", "expected"),
    [
        (400, 0.34, NEAR, "holds"),
        (400, 0.34, FAR, "inconclusive"),  # sooner, but not surely higher
        (1000, 0.301, NEAR, "fails"),  # later
        (400, 0.25, NEAR, "fails"),  # never
    ],
)
def test_c33_needs_both_its_parts(tmp_path, end, top, spread, expected):
    plain = curves_of(tmp_path, "inception", [800, 800, 800], 0.30)
    bn = arm(tmp_path, "bn_baseline", [line(end, top + d) for d in spread])
    assert judge("C33", {"inception": plain, "bn_baseline": bn}) == expected


@pytest.mark.parametrize(
    ("end", "expected"), [(200, "holds"), (600, "fails"), (400, "inconclusive")], ids=["quarter", "most", "half"]
)
def test_c34_asks_for_half_the_steps(tmp_path, end, expected):
    plain, bn = (curves_of(tmp_path, name, [800, 800, 800], 0.30) for name in ("inception", "bn_baseline"))
    x5 = curves_of(tmp_path, "bn_x5", [end - 50, end, end + 50], 0.30)
    assert judge("C34", {"inception": plain, "bn_baseline": bn, "bn_x5": x5}) == expected


@pytest.mark.parametrize(
    ("end", "top", "spread", "expected"),
    [
        (400, 0.38, NEAR, "holds"),
        (100, 0.38, NEAR, "fails"),  # higher, but sooner too
        (400, 0.31, NEAR, "fails"),  # later, and lower
        (400, 0.35, FAR, "inconclusive"),
    ],
)
def test_c35_needs_both_its_parts(tmp_path, end, top, spread, expected):
    plain = curves_of(tmp_path, "inception", [800, 800, 800], 0.30)
    x5 = curves_of(tmp_path, "bn_x5", [200, 200, 200], 0.34)
    x30 = arm(tmp_path, "bn_x30", [line(end, top + d) for d in spread])
    assert judge("C35", {"inception": plain, "bn_x5": x5, "bn_x30": x30}) == expected


def test_c35_is_open_where_neither_gets_there(tmp_path):
    plain = curves_of(tmp_path, "inception", [800, 800, 800], 0.30)
    x5, x30 = (
        arm(tmp_path, name, [line(200, top + d) for d in NEAR]) for name, top in (("bn_x5", 0.2), ("bn_x30", 0.25))
    )
    assert judge("C35", {"inception": plain, "bn_x5": x5, "bn_x30": x30}) == "inconclusive"


def test_c36_and_c38_need_one_seed_only(tmp_path):
    survives = arm(tmp_path / "a", "inception_x5", [line(500, 0.2)])
    learns = arm(tmp_path / "b", "inception_sigmoid", [line(500, 0.2)])
    assert judge("C36", {"inception_x5": survives}) == judge("C38", {"inception_sigmoid": learns}) == "fails"
    assert judge("C38", {"inception_sigmoid": [*learns, *arm(tmp_path, "c", [[0.02] * 3])]}) == "inconclusive"
