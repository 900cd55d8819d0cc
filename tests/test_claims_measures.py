"""One number a run, and a number over a ladder of runs, of records whose answers are known."""

import numpy as np
import pytest

from bnrepro.analysis.claims.arms import value
from bnrepro.analysis.claims.measures import across, measure
from fake_claims import fake


def test_measures_on_a_known_run(tmp_path):
    probes = {
        "a/b": np.array([[1.0, 2.0, 4.0], [2.0, np.nan, 16.0]]),
        "a/c": np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]),
    }
    run = fake(tmp_path, "r", 0, [(0, 0.2), (50, 0.8), (100, 0.6)], probes=probes)
    assert measure(run, {"final": "val/top1"}) == 0.6
    assert measure(run, {"highest": "val/top1"}) == 0.8
    assert measure(run, {"area": "val/top1"}) == pytest.approx(0.5 * 0.5 + 0.5 * 0.7)
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
    rows = "step,train/loss,val/loss,val/top1\n1,2.0,2.1,0.1\n2,0.9,1.2,0.5\n3,0.4,1.9,0.6\n"
    (run.path / "metrics.csv").write_text(rows)
    assert measure(run, {"gap": 1.0}) == pytest.approx(0.3)
    assert np.isnan(measure(type(run)(run.path, run.status), {"gap": 0.1}))


def test_a_diverged_run_is_at_chance_and_its_norms_are_endless(tmp_path):
    run = fake(tmp_path, "r", 0, [(0, 0.1), (10, 0.5)], state="diverged", diverged_at=20)
    assert measure(run, {"final": "val/top1"}) == 0.1
    assert measure(run, {"area": "val/top1"}) == pytest.approx((0.3 * 10 + 0.3 * 10 + 0.1 * 80) / 100)
    assert measure(run, {"probe": "weights/norm", "sites": "max", "at": "last"}) == np.inf


def test_measures_over_cells():
    cells = {0.1: {0: 0.5, 1: 0.6}, 1.0: {0: 0.9, 1: 0.8}, 10.0: {0: 0.46, 1: 0.1, 2: 0.9}}
    assert across(cells, {"best": "lr", "cells": 3}) == {0: 0.9, 1: 0.8}
    assert across(cells, {"spread": "lr", "cells": 3}) == pytest.approx({0: 0.44, 1: 0.7})
    assert across(cells, {"largest": "lr", "cells": 3, "share": 0.5}) == {0: 10.0, 1: 1.0}
    assert across(cells, {"best": "lr", "cells": 4}) == {}  # a ladder with a rung missing says nothing


def test_an_older_record_has_the_default_of_a_newer_key():
    assert value({"norm": {"name": "bn"}}, "norm.placement") == "before"
    assert value({"norm": {"name": "bn", "placement": "after"}}, "norm.placement") == "after"
