"""One number a run, and a number over a ladder of runs, of records whose answers are known."""

import numpy as np
import pytest

from bnrepro.analysis.claims.arms import value
from bnrepro.analysis.claims.measures import across, best, cells, measure
from fake_claims import fake


def test_measures_on_a_known_run(tmp_path):
    probes = {
        "a/b": np.array([[1.0, 2.0, 4.0], [2.0, np.nan, 16.0]]),
        "a/c": np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]),
    }
    run = fake(tmp_path, "r", 0, [(0, 0.2), (50, 0.8), (100, 0.6)], probes=probes)
    assert measure(run, {"final": "val/top1"}) == 0.6
    assert measure(run, {"above_chance": "val/top1"}) == pytest.approx(0.5)  # ten classes
    assert measure(run, {"area": "val/top1"}) == pytest.approx(0.5 * 0.5 + 0.5 * 0.7)
    assert measure(run, {"late": "val/top1", "from": 50}) == pytest.approx(0.7)
    known = {
        ("last/first", "last"): 8.0,
        ("mean", "last - first"): 9.0 - 7 / 3,
        ("later", "last"): 16.0,
        ("geometric", "first"): 2.0,
        ("max", "last / first"): 4.0,
    }
    for (sites, at), expected in known.items():
        assert measure(run, {"probe": "a/b", "sites": sites, "at": at}) == pytest.approx(expected), (sites, at)
    assert measure(run, {"probe": ["a/b", "a/c"], "sites": "last", "at": "last"}) == 8.0


def test_the_gap_is_taken_where_the_training_loss_first_falls_so_far(tmp_path):
    run = fake(tmp_path, "r", 0, [(1, 0.1)])
    rows = (
        "step,fit/loss,val/loss,val/top1\n1,2.0,2.1,0.1\n2,0.8,1.5,0.5\n3,0.4,1.9,0.6\n4,1.1,9.0,0.1\n5,0.4,9.0,0.1\n"
    )
    (run.path / "metrics.csv").write_text(rows)

    def gap(training_loss: float) -> float:
        return measure(run, {"gap": training_loss, "training": "fit/loss"})

    assert gap(0.8) == pytest.approx(1.5 - 0.8) and gap(0.5) == pytest.approx(1.8 - 0.5)
    assert np.isnan(gap(0.1)) and np.isnan(gap(3.0))  # not reached; reached before the first look


def test_a_diverged_run_is_at_chance_and_its_norms_are_endless(tmp_path):
    run = fake(tmp_path, "r", 0, [(0, 0.1), (10, 0.5)], state="diverged", diverged_at=20)
    assert measure(run, {"final": "val/top1"}) == 0.1
    assert measure(run, {"above_chance": "val/top1"}) == 0.0
    assert measure(run, {"area": "val/top1"}) == pytest.approx((0.3 * 10 + 0.3 * 10 + 0.1 * 80) / 100)
    assert measure(run, {"probe": "weights/norm", "sites": "max", "at": "last"}) == np.inf


BEST = {"best": "lr", "cells": 3, "choose_on": [0, 1], "test_on": [2, 3]}


def test_measures_over_cells():
    ladder = {0.1: {0: 0.5, 1: 0.6}, 1.0: {0: 0.9, 1: 0.8}, 10.0: {0: 0.46, 1: 0.1, 2: 0.9}}
    assert across(ladder, {"mean_over_best": "lr", "cells": 3}) == pytest.approx({0: 0.62 / 0.9, 1: 0.5 / 0.8})
    assert across(ladder, {"largest": "lr", "cells": 3, "share": 0.5}) == {0: 10.0, 1: 1.0}
    limits = across(ladder, {"limit": "lr", "cells": 3, "share": 0.5})
    assert limits == pytest.approx({0: 10.0, 1: 10 ** (4 / 7)})  # never below 0.45; 0.4 lies 4/7 of the way to 0.1
    steep = across(ladder, {"limit": "lr", "cells": 3, "share": 0.9})
    assert steep == pytest.approx({0: 10 ** (9 / 44), 1: 10 ** (8 / 70)})
    assert across(ladder, {"mean_over_best": "lr", "cells": 4}) == {}  # a ladder with a rung missing says nothing


def test_a_seed_that_is_never_above_chance_says_nothing():
    ladder = {0.1: {0: -0.01, 1: 0.4}, 1.0: {0: 0.0, 1: -0.1}}
    assert across(ladder, {"largest": "lr", "cells": 2, "share": 0.5}) == {1: 0.1}
    assert across(ladder, {"mean_over_best": "lr", "cells": 2}) == pytest.approx({1: 0.15 / 0.4})


def test_the_best_cell_is_tested_on_seeds_that_did_not_choose_it():
    ladder = {0.1: {0: 0.5, 1: 0.6, 2: 0.9, 3: 0.9}, 1.0: {0: 0.9, 1: 0.8, 2: 0.7}, 10.0: {0: 0.4, 1: 0.1}}
    assert best(ladder, BEST) == 1.0
    assert across(ladder, BEST) == {2: 0.7}  # neither 0.9 of seed 0, nor the cell that does best on seeds 2 and 3
    assert across({lr: ladder[lr] for lr in (0.1, 1.0)}, BEST) == {}
    assert across(ladder | {10.0: {0: 0.4}}, BEST) == {}  # a seed to choose on is missing


def test_cells_may_differ_in_two_keys(tmp_path):
    records = [
        fake(tmp_path, f"{norm} {lr}", seed, [(0, 0.1), (9, top1)], norm, lr)
        for norm, lr, top1 in (("bn", 0.1, 0.5), ("bn", 1.0, 0.6), ("group_norm", 0.1, 0.9), ("group_norm", 1.0, 0.2))
        for seed in (0, 2)
    ]
    spec = BEST | {
        "best": ["optimizer.base_lr", "norm.name"],
        "cells": 4,
        "choose_on": [0],
        "of": {"final": "val/top1"},
    }
    assert best(cells(records, spec), spec) == (0.1, "group_norm")
    assert across(cells(records, spec), spec) == {2: 0.9}


@pytest.mark.parametrize("order", [(0.1, 1.0), (1.0, 0.1)])
def test_a_number_that_is_missing_counts_as_a_seed_that_is_missing(tmp_path, order):
    """It neither wins nor loses, in whatever order the records come."""
    final = {0.1: [0.5, np.nan, 0.7], 1.0: [0.6, 0.8, 0.5]}
    records = [
        fake(tmp_path, f"lr{lr}", seed, [(0, 0.1)], lr=lr, final={} if np.isnan(top) else {"val/top1": top})
        for lr in order
        for seed, top in enumerate(final[lr])
    ]
    spec = {"cells": 2, "of": {"final": "val/top1"}}
    ladder = cells(records, {"mean_over_best": "optimizer.base_lr"} | spec)
    assert list(ladder) == [0.1, 1.0] and ladder[0.1] == {0: 0.5, 2: 0.7}
    assert across(ladder, {"mean_over_best": "optimizer.base_lr"} | spec) == pytest.approx(
        {0: 0.55 / 0.6, 2: 0.6 / 0.7}
    )
    assert across(ladder, BEST | {"cells": 2}) == {}  # of seeds 0 and 1 one has no number in one cell
    assert across(ladder, BEST | {"cells": 2, "choose_on": [0], "test_on": [1, 2]}) == {1: 0.8, 2: 0.5}


def test_an_older_record_has_the_default_of_a_newer_key():
    assert value({"norm": {"name": "bn"}}, "norm.placement") == "before"
    assert value({"norm": {"name": "bn", "placement": "after"}}, "norm.placement") == "after"
