"""A selection of `make faults`: crash points along a run, a kill, and the attacks that take little time."""

import random

import pytest

from faults import inputs, surroundings
from faults.attack import SWEEP, Attack, NotHere
from faults.harness import SCENARIOS, Scenario


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["published", "diverging"])
def test_a_run_that_crashes_or_is_killed_is_the_run_that_nothing_stops(name, tmp_path):
    scenario = Scenario(SCENARIOS[name], tmp_path)
    points = range(1, scenario.changes + 1, max(1, scenario.changes // 4))
    crashed, killed = scenario.crash_points(points), scenario.kills(1, random.Random(0))
    assert crashed.faults >= 4 and crashed.wrong == killed.wrong == 0


@pytest.mark.parametrize("attack", [inputs.lying_headers, surroundings.full_disk_of_a_sweep])
def test_attacks(attack, tmp_path):
    straight = tmp_path / "straight"
    if attack is not inputs.lying_headers:
        assert not Attack(tmp_path, straight).works(*SWEEP, runs=straight).count("Traceback")
    attacked = Attack(tmp_path / "attacked", straight)
    attacked.folder.mkdir()
    try:
        attack(attacked)
    except NotHere:
        pytest.skip("nobody may mount a disk here")
    assert attacked.tries and not attacked.broken
