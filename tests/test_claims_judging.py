"""Intervals, corrections and verdicts on records whose answers are known."""

import numpy as np
import pytest
from scipy import stats

from bnrepro.analysis.claims.judge import Judged, decide, gather, holds, seeds_to_decide
from bnrepro.analysis.claims.rules import Rule
from fake_claims import RATIO, part_of, two_arms


@pytest.mark.parametrize(
    ("bound", "edge", "inside", "across_edge", "outside"),
    [
        ("above", 1.0, (1.1, 2), (0.9, 2), (0, 0.9)),
        ("below", 1.0, (0, 0.9), (0.9, 2), (1.1, 2)),
        ("at_least", 2.0, (2, 3), (1.9, 3), (1, 1.9)),
        ("at_most", 2.0, (1, 2), (1, 2.1), (2.1, 3)),
        ("within", 0.5, (-0.4, 0.4), (-0.6, 0.4), (0.6, 0.7)),
        ("between", [1.0, 2.0], (1.2, 1.8), (0.5, 1.5), (2.1, 2.2)),
        ("equals", 2.0, (2, 2), (1, 3), (2.1, 2.1)),
    ],
)
def test_the_whole_interval_must_obey(bound, edge, inside, across_edge, outside):
    rule = Rule(bound, edge)
    assert [holds(rule, *interval) for interval in (inside, across_edge, outside)] == ["holds", "inconclusive", "fails"]
    assert holds(Rule("above", 1.0), 1.0, 2.0) == "inconclusive"  # the edge itself is not beyond it


def test_arms_are_paired_by_seed_and_the_interval_is_students(tmp_path):
    plain, bn = np.array([0.50, 0.60, 0.40, 0.55]), np.array([0.53, 0.62, 0.44, 0.58])
    judged = gather(two_arms(tmp_path, plain.tolist(), bn.tolist()), part_of(tmp_path / "rules"))
    expected = stats.ttest_rel(bn, plain)
    low, high = expected.confidence_interval(0.95)
    assert judged.estimate.mean == pytest.approx((bn - plain).mean())
    assert (judged.estimate.low, judged.estimate.high) == pytest.approx((low, high))
    assert judged.p == pytest.approx(expected.pvalue)
    assert judged.values == pytest.approx((bn - plain).tolist()) and judged.seeds == [0, 1, 2, 3]
    assert len(judged.runs) == 8
    decide([judged])
    assert judged.verdict == "holds"  # arms that overlap, but not within a seed


def test_ratios_are_averaged_as_logarithms_and_contrasts_are_sums(tmp_path):
    records = two_arms(tmp_path, [0.1, 0.2, 0.4], [0.2, 0.4, 0.8])
    ratio = gather(records, part_of(tmp_path / "rules", **RATIO, above=1))
    assert ratio.estimate.mean == pytest.approx(2) and ratio.values == pytest.approx([2, 2, 2])
    contrast = gather(records, part_of(tmp_path / "rules", compare={"bn": 0.5, "plain": -1}))
    assert contrast.values == pytest.approx([0, 0, 0])
    decide([contrast])
    assert contrast.p == 1 and contrast.verdict == "inconclusive"


def test_seeds_that_one_arm_lacks_are_left_out_and_too_few_decide_nothing(tmp_path):
    judged = gather(two_arms(tmp_path, [0.5, 0.5, 0.51], [0.9, 0.91]), part_of(tmp_path / "rules"))
    decide([judged])
    assert judged.seeds == [0, 1] and judged.verdict == "inconclusive" and judged.note == "2 of 3 seeds"
    missing = gather(two_arms(tmp_path / "other", [], [0.9]), part_of(tmp_path / "rules"))
    assert missing.estimate is None and missing.verdict == "untested"


def test_many_tests_make_each_harder_to_pass(tmp_path):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5], [0.53, 0.55, 0.54])
    part = part_of(tmp_path / "rules")
    alone, among = gather(records, part), [gather(records, part) for _ in range(2)]
    decide([alone])
    assert alone.verdict == "holds" and alone.q == pytest.approx(alone.p)
    noise = [Judged(part, estimate=alone.estimate, p=0.9) for _ in range(40)]
    decide([*among, *noise])
    assert among[0].p == alone.p < 0.05 < among[0].q and among[0].verdict == "inconclusive"


def test_the_n_that_would_decide_puts_the_edge_outside_the_interval(tmp_path):
    judged = gather(two_arms(tmp_path, [0.5, 0.5, 0.5], [0.52, 0.47, 0.54]), part_of(tmp_path / "rules"))
    n, mean, sd = seeds_to_decide(judged), judged.estimate.mean, judged.estimate.sd

    def half(n: int) -> float:
        return stats.t.ppf(0.975, n - 1) * sd / n**0.5

    assert half(n) < mean <= half(n - 1)


def test_equivalence_needs_the_interval_on_both_sides(tmp_path):
    close = gather(
        two_arms(tmp_path, [0.5, 0.5, 0.5], [0.501, 0.499, 0.5]), part_of(tmp_path / "r", above=None, within=0.01)
    )
    far = gather(two_arms(tmp_path / "far", [0.5, 0.5, 0.5], [0.53, 0.529, 0.531]), close.part)
    decide([close, far])
    assert (close.verdict, far.verdict) == ("holds", "fails")
