"""A selection of `make faults`: crash points along a run, and a kill."""

import random

import pytest

from faults.harness import SCENARIOS, Scenario


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["published", "diverging"])
def test_a_run_that_crashes_or_is_killed_is_the_run_that_nothing_stops(name, tmp_path):
    scenario = Scenario(SCENARIOS[name], tmp_path)
    points = range(1, scenario.changes + 1, max(1, scenario.changes // 4))
    crashed, killed = scenario.crash_points(points), scenario.kills(1, random.Random(0))
    assert crashed.faults >= 4 and crashed.wrong == killed.wrong == 0
