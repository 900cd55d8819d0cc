"""Intervals, corrections and verdicts on records whose answers are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bnrepro.analysis.claims import ledger, table
from bnrepro.analysis.claims.judge import Judged, judge_part, minutes_for, seeds_to_decide
from bnrepro.analysis.claims.measures import across
from bnrepro.analysis.claims.rules import Rule
from bnrepro.analysis.reading.endpoints import adjust
from bnrepro.analysis.reading.statistics import p_value
from fake_claims import EXPERIMENT, GAIN, RATIO, part_of, two_arms


def decide(parts: list[Judged]) -> None:
    """Adjust the p-values of parts as the ledger does."""
    adjust(parts, stats.false_discovery_control)


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
    assert [rule.judge(*interval) for interval in (inside, across_edge, outside)] == ["holds", "inconclusive", "fails"]
    assert Rule("above", 1.0).judge(1.0, 2.0) == "inconclusive"  # the edge itself is not beyond it


def test_arms_are_paired_by_seed_and_the_interval_is_students(tmp_path):
    plain, bn = np.array([0.50, 0.60, 0.40, 0.55]), np.array([0.53, 0.62, 0.44, 0.58])
    judged = judge_part(two_arms(tmp_path, plain.tolist(), bn.tolist()), part_of(tmp_path / "rules", seeds=4))
    expected = stats.ttest_rel(bn, plain)
    low, high = expected.confidence_interval(0.95)
    assert judged.estimate.mean == pytest.approx((bn - plain).mean())
    assert (judged.estimate.low, judged.estimate.high) == pytest.approx((low, high))
    assert judged.p == pytest.approx(expected.pvalue)
    assert judged.values == pytest.approx((bn - plain).tolist()) and judged.seeds == [0, 1, 2, 3]
    assert len(judged.records) == 8
    decide([judged])
    assert judged.verdict == "holds"  # arms that overlap, but not within a seed


def test_a_rule_takes_its_own_seeds_and_no_others(tmp_path):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5, 0.5], [0.6, 0.7, 0.8, 0.9])
    judged = judge_part(records, part_of(tmp_path / "rules", seeds=2, first_seed=1))
    assert judged.seeds == [1, 2] and judged.values == pytest.approx([0.2, 0.3]) and len(judged.records) == 4


def test_ratios_are_averaged_as_logarithms_and_contrasts_are_sums(tmp_path):
    records = two_arms(tmp_path, [0.1, 0.2, 0.4], [0.2, 0.4, 0.8])
    ratio = judge_part(records, part_of(tmp_path / "rules", **RATIO, above=1))
    assert ratio.estimate.mean == pytest.approx(2) and ratio.values == pytest.approx([2, 2, 2])
    contrast = judge_part(records, part_of(tmp_path / "rules", compare={"bn": 0.5, "plain": -1}))
    assert contrast.values == pytest.approx([0, 0, 0])
    decide([contrast])
    assert contrast.p == 1 and contrast.verdict == "inconclusive"


def test_seeds_that_one_arm_lacks_are_left_out_and_too_few_decide_nothing(tmp_path):
    judged = judge_part(two_arms(tmp_path, [0.5, 0.5, 0.51], [0.9, 0.91]), part_of(tmp_path / "rules"))
    decide([judged])
    assert judged.seeds == [0, 1] and judged.verdict == "inconclusive" and judged.note == "2 of 3 seeds"
    missing = judge_part(two_arms(tmp_path / "other", [], [0.9]), part_of(tmp_path / "rules"))
    assert missing.estimate is None and missing.verdict == "untested"


def test_many_tests_make_each_harder_to_pass(tmp_path):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5], [0.53, 0.55, 0.54])
    part = part_of(tmp_path / "rules")
    alone, among = judge_part(records, part), [judge_part(records, part) for _ in range(2)]
    decide([alone])
    assert alone.verdict == "holds" and alone.q == pytest.approx(alone.p)
    noise = [Judged(part, estimate=alone.estimate, p=0.9) for _ in range(40)]
    decide([*among, *noise])
    assert among[0].p == alone.p < 0.05 < among[0].q and among[0].verdict == "inconclusive"


@pytest.mark.parametrize("bound", ["between", "within"])
def test_both_edges_are_tested(tmp_path, bound):
    """The upper edge is the near one: the lower one alone would give a tiny p-value."""
    records = two_arms(tmp_path, [0.5, 0.5, 0.5, 0.5], [0.54, 0.55, 0.57, 0.56])
    edges = {"between": [-0.06, 0.06], "within": 0.06}[bound]
    judged = judge_part(records, part_of(tmp_path / "rules", **{"above": None, bound: edges, "seeds": 4}))
    assert judged.p == pytest.approx(stats.ttest_1samp([0.04, 0.05, 0.07, 0.06], 0.06).pvalue)
    decide([judged])
    assert judged.verdict == "inconclusive"


def test_within_of_a_ratio_is_a_factor(tmp_path):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5], [0.5, 0.51, 0.49])
    near = judge_part(records, part_of(tmp_path / "r", **RATIO, above=None, within=1.25))
    assert near.part.rule.edges == (0.8, 1.25) and near.part.rule.text("times") == "within a factor of 1.25"
    logs = np.log([1, 1.02, 0.98])
    assert near.p == pytest.approx(max(stats.ttest_1samp(logs, np.log(edge)).pvalue for edge in (0.8, 1.25)))
    decide([near])
    assert near.verdict == "holds"


@pytest.mark.parametrize("compare", ["bn", "bn - plain"])
def test_a_run_that_diverged_leaves_no_mean_and_a_ledger(tmp_path, compare):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    kind = "difference" if " - " in compare else "value"
    measured = {"measure": {"probe": "a/b", "sites": "last", "at": "last"}, "unit": "number"}
    part = part_of(tmp_path / "rules", compare=compare, **measured | {"is": kind})
    for record in records.of_experiment(EXPERIMENT):
        record.__dict__["probes"] = {"a/b": np.array([[1.0 + record.seed]])}
        if record.seed == 1:
            record.status["state"] = "diverged"
    judged = judge_part(records, part)
    decide([judged])
    assert judged.verdict == "inconclusive" and judged.p is judged.q is None and judged.value is None
    assert judged.note == "no mean: 1 of 3 seeds have no finite value" and seeds_to_decide(judged) is None
    row = ledger._part(judged)
    assert json.loads(json.dumps(row, allow_nan=False))["value"] is None and table.value_text(row) == "no finite mean"


def test_the_best_of_several_cells_is_called_better_no_more_often_than_it_may_be():
    """Of two arms that are alike, each with one cell or the best of five, 2.5 % of draws may call the second better."""
    draws, spec = 1500, {"best": "lr", "cells": 5, "choose_on": [0, 1, 2, 3, 4]}
    one, many = np.random.default_rng(0).normal(size=(draws, 10)), np.random.default_rng(1).normal(size=(draws, 5, 10))
    better = {}
    for tested in ([5, 6, 7, 8, 9], [0, 1, 2, 3, 4]):
        cells = [{lr: dict(enumerate(cell)) for lr, cell in enumerate(arm)} for arm in many]
        best = np.array([list(across(arm, spec | {"test_on": tested}).values()) for arm in cells])
        paired = stats.ttest_rel(best, one[:, tested], axis=1)
        better[tested[0]] = ((paired.pvalue < 0.05) & (paired.statistic > 0)).mean()
    error = (0.025 * 0.975 / draws) ** 0.5
    assert abs(better[5] - 0.025) < 3 * error and better[0] > 0.025 + 6 * error


def test_the_n_that_would_decide_puts_the_edge_outside_the_interval(tmp_path):
    judged = judge_part(two_arms(tmp_path, [0.5, 0.5, 0.5], [0.52, 0.47, 0.54]), part_of(tmp_path / "rules"))
    n, mean, sd = seeds_to_decide(judged), judged.estimate.mean, judged.estimate.sd

    def half(n: int) -> float:
        return stats.t.ppf(0.975, n - 1) * sd / n**0.5

    assert half(n) < mean <= half(n - 1)


def test_where_the_adjustment_decides_the_ledger_says_so(tmp_path):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5], [0.53, 0.55, 0.54])
    judged = judge_part(records, part_of(tmp_path / "rules"))
    decide([judged, *(Judged(judged.part, estimate=judged.estimate, p=0.9) for _ in range(9))])
    assert judged.estimate.low > 0 and judged.p < 0.05 < judged.q and judged.verdict == "inconclusive"
    n = seeds_to_decide(judged)
    assert n > 3  # and not the three that there are
    again = p_value(replace(judged.estimate, n=n), 0.0)
    assert again * judged.q / judged.p <= 0.05 < p_value(replace(judged.estimate, n=n - 1), 0.0) * judged.q / judged.p
    row = {"ours": [ledger._part(judged)]}
    parts = table.parts(row)
    head, (cells,) = parts.head, parts.rows
    assert cells[head.index("adjusted p")] == f"{judged.q:.2g}"
    took = f"{round(n * 2 * 20 / 60)} minutes of one core"  # two arms, and 100 s for a stack of five
    expected = (
        f"inconclusive; {n} seeds would decide, in {took} (by its interval alone it holds; the adjusted p decides)"
    )
    assert cells[head.index("verdict")] == expected


def test_the_cost_of_more_seeds_counts_every_run_that_they_need(tmp_path):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5], [0.52, 0.47, 0.54])
    ladder = {"cells": 1, "share": 0.5, "of": {"final": "val/top1"}, "limit": "optimizer.base_lr"}
    best = {"cells": 1, "of": {"final": "val/top1"}, "best": "optimizer.base_lr", "choose_on": [0], "test_on": [1, 2]}
    for measure, runs in ((GAIN["measure"], 1), (ladder, 7), (best, 1)):
        judged = judge_part(records, part_of(tmp_path / "rules", measure=measure))
        judged.part.measure.update({"cells": 7} if "cells" in measure else {})
        assert minutes_for(judged, 30) == pytest.approx(30 * 2 * runs * 20 / 60)


@pytest.mark.parametrize("within", [0.005, 0.03])
def test_the_n_that_would_decide_of_an_equivalence_is_of_its_nearest_edge(tmp_path, within):
    records = two_arms(tmp_path, [0.5, 0.5, 0.5], [0.52, 0.47, 0.54])
    judged = judge_part(records, part_of(tmp_path / "rules", above=None, within=within))
    n = seeds_to_decide(judged)
    assert p_value(replace(judged.estimate, n=n), within) <= 0.05 < p_value(replace(judged.estimate, n=n - 1), within)


def test_equivalence_needs_the_interval_on_both_sides(tmp_path):
    close = judge_part(
        two_arms(tmp_path, [0.5, 0.5, 0.5], [0.501, 0.499, 0.5]), part_of(tmp_path / "r", above=None, within=0.01)
    )
    far = judge_part(two_arms(tmp_path / "far", [0.5, 0.5, 0.5], [0.53, 0.529, 0.531]), close.part)
    decide([close, far])
    assert (close.verdict, far.verdict) == ("holds", "fails")
