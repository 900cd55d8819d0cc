"""The rules of claims: every claim has one that its records can answer, and a wrong one is refused in one line."""

import re

import pytest
import yaml

from bnrepro.analysis.claims.definitions import load_claims, load_experiments
from bnrepro.errors import UserError
from conftest import CONFIGS, config_of
from fake_claims import GAIN, RATIO, USUAL, definitions, part_of

RULES = CONFIGS / "claims"
OWN = [name for name, found in load_experiments(RULES).items() if not found.command]


def test_every_claim_has_a_rule_and_every_rule_records_that_a_command_makes():
    claims, experiments = load_claims(RULES), load_experiments(RULES)
    assert list(claims)[:48] == [f"C{k:02}" for k in range(1, 49)] and len(claims) >= 58
    assert {path.stem for path in RULES.glob("*.yaml")} == {*claims, "experiments"}
    for claim in claims.values():
        assert set(claim.experiments) <= set(experiments) and set(claim.all_of) <= set(claims)
        directional = [part for part in claim.parts if part.experiment]
        assert all(part.seeds >= 3 and part.rule for part in directional), claim.id
        assert claim.kind == "empirical" or not directional
    assert {claim.id for claim in claims.values() if claim.kind == "no measurement"} == {"C47", "S1", "S8"}
    for name, found in experiments.items():
        if found.command:
            continue
        assert found.records == f"claims/{name}/{'few' if name == 'few' else 'mini'}"
        header = (CONFIGS / "experiment" / "claims" / f"{name}.yaml").read_text().split("figure:")[0]
        using = [claim.id for claim in claims.values() if name in claim.experiments]
        assert all(claim in header for claim in using), (name, using)


@pytest.mark.parametrize("name", OWN)
def test_the_base_of_an_experiment_is_its_configuration(name):
    experiment = load_experiments(RULES)[name]
    config = config_of(f"experiment=claims/{name}", f"scale={experiment.records.rpartition('/')[2]}")
    for key, wanted in experiment.base.items():
        section, field = key.split(".")
        assert getattr(getattr(config, section), field) == wanted, key


BEST = {"best": "init.std", "cells": 2, "of": {"area": "val/top1"}, "choose_on": [0, 4], "test_on": [5]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 1}, "unknown key colour"),
        ({"sead": 5}, "unknown key sead; did you mean seeds?"),
        ({"report": "figure1", "experiment": None}, "unknown key above; known: report"),
        ({"is": None}, "no is"),
        ({"unit": None}, "no unit"),
        ({"measure": None}, "no measure"),
        ({"is": "quotient"}, "is: quotient is not one of ratio, difference, value"),
        ({"unit": "metres"}, "unit: metres is not one of number, times, points"),
        ({"unit": "times"}, "the unit of a ratio, and of nothing else, is times; this difference has times"),
        (RATIO | {"unit": "points"}, "this ratio has points"),
        (
            {"is": "ratio", "unit": "times", "above": 1},
            "compare: bn - plain is a difference, and the part says that it is a ratio",
        ),
        ({"compare": "bn / plain"}, "compare: bn / plain is a ratio, and the part says that it is a difference"),
        (
            {"compare": {"bn": 1, "plain": -1}} | {"is": "value"},
            "is a difference, and the part says that it is a value",
        ),
        (RATIO, "above: 0 is not a number above 0, because it is an edge of a ratio"),
        (
            RATIO | {"above": None, "within": 0.1},
            "within: 0.1 is not a number above 1",
        ),
        ({"above": "much"}, "above: much is not a number"),
        ({"above": None, "between": [2, 1]}, r"between: \[2, 1\] is not two numbers, the lower first"),
        ({"above": None, "equals": 1}, "equals is for exact numbers"),
        ({"seeds": "five"}, "seeds: five is not a number of seeds"),
        ({"measure": {"finale": "val/top1"}}, "a measure is one of final, .*; it says finale"),
        ({"measure": {"final": "val/top1", "site": "last"}}, "unknown key site; known: final"),
        ({"measure": {"probe": "a/b", "sites": "last"}}, "no at"),
        ({"measure": {"mean_over_best": "init.std", "cells": 2, "of": {"area": 1, "at": 1}}}, "unknown key at"),
        (
            {"measure": {"mean_over_best": "init.sdt", "cells": 2, "of": {"area": 1}}},
            "unknown key init.sdt; did you mean init.std",
        ),
        ({"measure": BEST | {"test_on": [4, 5]}}, "seed 4 is in choose_on and in test_on"),
        ({"measure": {key: BEST[key] for key in ("best", "cells", "of")}}, "no choose_on"),
        ({"arms": {"bn": {}, "plain": {"norm.nam": "none"}}}, "unknown key norm.nam; did you mean norm.name"),
        ({"below": 1}, "needs one of above"),
        ({"above": None}, "needs one of above"),
        ({"number": "n"}, "needs one of number, report and experiment"),
        ({"compare": "bn - sigmoid"}, "compare names sigmoid"),
    ],
)
def test_a_wrong_rule_is_one_line(tmp_path, change, said):
    with pytest.raises(UserError, match=said) as error:
        part_of(tmp_path, **change)
    assert "C01.yaml" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 5}, "unknown key seed; did you mean seeds?"),
        ({"seeds": None}, "seeds: None is not a number of seeds"),
        ({"literature": None}, "no literature"),
        ({"literature": {"stance": "none"}}, "literature: no says"),
        ({"literature": {"stance": "none", "says": "", "year": 2015}}, "literature: unknown key year"),
        ({"literature": {"stance": "maybe", "says": ""}}, "stance: maybe is not one of supports"),
        ({"test": None}, "measured in runs needs a test: fair or weak, and why"),
        ({"test": {"fair": "so", "weak": "not so"}}, "needs a test: fair or weak"),
        ({"test": {"hard": "so"}}, "test: unknown key hard"),
        ({"place": None}, "no place"),
        ({"text": "fails"}, "one of parts, all_of and text"),
        ({"parts": None, "text": "true"}, "text: true is not one of holds"),
        ({"parts": None, "all_of": ["C2"]}, "all_of names C2; did you mean C02?"),
        ({"parts": ["a part with a number"]}, "a part needs one of number, report and experiment"),
    ],
)
def test_a_wrong_claim_is_one_line(tmp_path, change, said):
    claim = USUAL | {"seeds": 3, "parts": [GAIN]} | change
    kept = {key: value for key, value in claim.items() if value is not None}
    (definitions(tmp_path, {}) / "C01.yaml").write_text(yaml.safe_dump(kept))
    with pytest.raises(UserError, match=said) as error:
        load_claims(tmp_path)
    assert "C01.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_no_yaml_is_one_line(tmp_path):
    (definitions(tmp_path, {"text": "fails"}) / "C01.yaml").write_text("claim: [\n")
    with pytest.raises(UserError, match=r"C01\.yaml is not valid YAML") as error:
        load_claims(tmp_path)
    assert "\n" not in str(error.value)


def test_the_claims_are_the_files_of_the_folder(tmp_path):
    definitions(tmp_path, {"text": "fails"})
    for name in ("S2", "S11", "C100"):
        (tmp_path / f"{name}.yaml").write_text((tmp_path / "C02.yaml").read_text())
    assert list(load_claims(tmp_path)) == ["C01", "C02", "C100", "S2", "S11"]
    (tmp_path / "claim11.yaml").write_text("")
    with pytest.raises(UserError, match=re.escape("claim11.yaml: a claim's file is named C or S and a number")):
        load_claims(tmp_path)
    with pytest.raises(UserError, match="no claim in"):
        load_claims(tmp_path / "nothing")


def test_a_ratio_is_what_says_so(tmp_path):
    """Not what divides somewhere: a difference of two arms' ratios is one, and one arm's ratio of two probes may be."""
    probe = {"probe": "a/b", "sites": "last/first", "at": "last"}
    assert not part_of(tmp_path, measure=probe, unit="number").ratio
    both = {"probe": ["a/b", "a/c"], "sites": "last", "at": "last"}
    assert part_of(tmp_path, **RATIO | {"compare": "bn"}, measure=both, above=1).ratio
    assert part_of(tmp_path, measure={"final": "val/top1"}).unit == "points"


def test_experiments_are_checked_too(tmp_path):
    for entry, said in (({"records": "a"}, "no base"), ({"records": "a", "base": {"norm.nam": 1}}, "norm.nam")):
        (tmp_path / "experiments.yaml").write_text(yaml.safe_dump({"known": entry}))
        with pytest.raises(UserError, match=f"experiments.yaml: known: .*{said}"):
            load_experiments(tmp_path)
