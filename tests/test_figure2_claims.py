"""The endpoints of the claims of Figures 2 and 3, on synthetic records on either side of each rule."""

from pathlib import Path

import numpy as np
import pytest

from bnrepro.analysis.figures.figure2_claims import CLAIMS, claims_table, endpoints, words
from bnrepro.analysis.reading.curves import finals
from bnrepro.analysis.reading.endpoints import Endpoint
from bnrepro.analysis.reading.load import Arms, Record
from fake_records import FIVE, arm, line, paper_like, write_run

FAR = (-0.06, -0.03, 0.0, 0.03, 0.06)  # seeds that do not agree


@pytest.fixture(scope="module")
def arms(tmp_path_factory) -> Arms:
    return paper_like(tmp_path_factory.mktemp("arms"))


def verdicts(measured: list[Endpoint]) -> list[str]:
    return [endpoint.verdict for endpoint in measured]


def curves(folder: Path, variant: str, step: float, top: float, spread: tuple = FIVE) -> list[Record]:
    return arm(folder / f"{variant}-{step}-{top}", variant, [line(step, top + d) for d in spread])


def test_networks_that_do_what_the_paper_says(arms):
    for name, claim in CLAIMS.items():
        for beta in claim.betas:
            measured = endpoints(name, arms, beta)
            assert measured and set(verdicts(measured)) == {"holds"}, name
            assert all(one.p < 0.05 for one in measured if one.estimate)
    assert [len(claim.betas) for claim in CLAIMS.values()] == [2, 2, 2, 1, 1, 1]


def test_the_table_has_a_row_per_reading_and_says_what_is_missing(arms):
    text = claims_table({name: records for name, records in arms.items() if "x30" not in name}).grid()
    assert len(text.splitlines()) == 2 + 9
    assert "| C35, beta starts at 1 | BN-x30" in text and text.count("not measured yet") == 2
    assert "steps of Inception over those of BN-Baseline: 2.13 [" in text
    assert "seeds 0, 1, 2: diverged at step 170; seeds 3, 4: stays at chance, ended at step 200" in text


@pytest.mark.parametrize(
    ("step", "top", "spread", "expected"),
    [
        (400, 0.34, FIVE, ["holds", "holds"]),
        (400, 0.34, FAR, ["inconclusive", "inconclusive"]),
        (1000, 0.305, FIVE, ["fails", "holds"]),  # later
        (400, 0.25, FIVE, ["fails", "fails"]),  # never
    ],
)
def test_c33_asks_for_fewer_steps_and_a_higher_end(arms, tmp_path, step, top, spread, expected):
    bn = curves(tmp_path, "bn_baseline", step, top, spread)
    assert verdicts(endpoints("C33", arms | {"bn_baseline": bn})) == expected


def test_a_bound_is_marked_and_decides_only_one_way(arms, tmp_path):
    never = curves(tmp_path, "bn_baseline", 400, 0.25)
    (steps, _) = endpoints("C33", arms | {"bn_baseline": never})
    assert steps.estimate.mean == pytest.approx(0.76, abs=0.01) and steps.note.startswith("a bound (≤)")
    assert "≤ 0.76 [" in words(steps)
    slow = curves(tmp_path, "inception_changes_equal", 900, 0.28, FIVE)  # never gets to 0.285: T stands for it
    fast = curves(tmp_path, "bn_x5_equal", 990, 0.30)
    both = arms | {"inception_changes_equal": slow, "bn_x5_equal": fast}
    (_, control) = endpoints("C34", {name: both[name] for name in both if "changes_x" not in name})
    assert control.note.startswith("a bound (≥)") and control.verdict == "holds"  # 1000 over 950: at the least


def test_c34_takes_the_best_control_and_wants_twice(arms, tmp_path):
    (twice, control) = endpoints("C34", arms)
    assert "rate x1" in control.quantity and twice.quantity == "steps of Inception over those of BN-x5"
    better = curves(tmp_path, "inception_changes_x5_equal", 150, 0.36, FIVE)
    (_, control) = endpoints("C34", arms | {"inception_changes_x5_equal": better})
    assert "rate x5" in control.quantity and control.verdict == "fails"
    dead = arm(tmp_path, "inception_changes_equal", [[0.02] * 3] * 5)
    (_, control) = endpoints(
        "C34", {n: r for n, r in arms.items() if "changes" not in n} | {"inception_changes_equal": dead}
    )
    assert (control.verdict, control.p) == ("holds", None) and "no seed learns" in control.quantity
    half = curves(tmp_path, "bn_x5_equal", 600, 0.34)
    assert verdicts(endpoints("C34", arms | {"bn_x5_equal": half}))[0] == "fails"


@pytest.mark.parametrize(("survivors", "expected"), [(0, "holds"), (2, "inconclusive"), (5, "fails")])
def test_c36_counts_what_cannot_be_trained(tmp_path, survivors, expected):
    runs = [line(500, 0.2)] * survivors + [[0.02] * 3] * (5 - survivors)
    (count,) = endpoints("C36", {"inception_x5": arm(tmp_path, "inception_x5", runs)})
    assert count.verdict == expected and f"{5 - survivors} of 5 runs" in count.note and count.p is None


@pytest.mark.parametrize(
    ("top", "spread", "expected"),
    [
        (0.30, FIVE, "holds"),
        (0.38, FIVE, "holds"),
        (0.28, FIVE, "fails"),
        (0.42, FIVE, "fails"),
        (0.31, FAR, "inconclusive"),
    ],
)
def test_c37_is_an_equivalence_in_both_directions(arms, tmp_path, top, spread, expected):
    sigmoid = curves(tmp_path, "bn_x5_sigmoid_equal", 300, top, spread)
    relu = arm(tmp_path, "bn_x5_equal", [line(150, 0.34)] * 5)
    (one,) = endpoints("C37", arms | {"bn_x5_sigmoid_equal": sigmoid, "bn_x5_equal": relu})
    assert one.verdict == expected
    assert (one.p <= 0.05) == (expected != "inconclusive")


def test_c37_has_the_p_of_two_one_sided_tests(arms):
    from scipy import stats

    (one,) = endpoints("C37", arms)
    differences = finals(arms["bn_x5_sigmoid_equal"]) - finals(arms["bn_x5_equal"])
    differences = differences + np.array([0.004, -0.004, 0.002, 0.0, -0.002])
    shifted = dict(arms)
    for record, change in zip(shifted["bn_x5_sigmoid_equal"], (0.004, -0.004, 0.002, 0.0, -0.002), strict=True):
        record.status["final"]["val/top1"] += change
    (one,) = endpoints("C37", shifted)
    low = stats.ttest_1samp(differences, -0.05, alternative="greater").pvalue
    high = stats.ttest_1samp(differences, 0.05, alternative="less").pvalue
    assert one.p == pytest.approx(max(low, high))


def test_c38_fails_if_one_cell_learns_with_every_seed(arms, tmp_path):
    cell = arm(tmp_path / "a", "inception_sigmoid_x5", [line(500, 0.2)] * 5)
    assert verdicts(endpoints("C38", arms | {"inception_sigmoid_x5": cell})) == ["fails"]
    one = arm(tmp_path / "b", "inception_sigmoid_x5", [line(500, 0.2), *[[0.02] * 3] * 4])
    assert verdicts(endpoints("C38", arms | {"inception_sigmoid_x5": one})) == ["inconclusive"]


def test_while_seeds_are_missing_there_is_no_verdict(arms, tmp_path):
    (steps, final) = endpoints("C33", arms | {"bn_baseline": arms["bn_baseline"][:2]})
    assert steps.verdict == final.verdict == "inconclusive" and steps.p is None
    assert "BN-Baseline has 2 of 5 seeds" in steps.note
    never = curves(tmp_path, "bn_baseline", 400, 0.25)[:2]
    (steps, _) = endpoints("C33", arms | {"bn_baseline": never})
    assert "≤ 0.76 [" in words(steps) and "2 of 5 seeds" in steps.note  # it stays a bound


def test_five_seeds_an_arm_are_not_enough_if_the_arms_share_fewer(arms, tmp_path):
    others = [write_run(tmp_path, "bn_baseline", seed, line(400, 0.32)) for seed in range(3, 8)]
    for endpoint in endpoints("C33", arms | {"bn_baseline": others}):
        assert endpoint.verdict == "inconclusive" and "the arms share 2 of 5 seeds" in endpoint.note


def test_a_dead_baseline_leaves_claims_untested(arms, tmp_path):
    dead = arm(tmp_path, "inception", [[0.02] * 3] * 5)
    assert endpoints("C33", arms | {"inception": dead}) == [] and endpoints("C35", arms | {"inception": dead}) == []
    assert endpoints("C36", arms | {"inception": dead})
