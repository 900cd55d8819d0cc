"""The rules of claims: every claim has one that its records can answer, and a wrong one is refused in one line."""

import pytest

from bnrepro.analysis.claims.definitions import load_claims, load_experiments
from bnrepro.errors import UserError
from conftest import CONFIGS, config_of
from fake_claims import part_of

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
    for name, found in experiments.items():
        if found.command:
            continue
        assert found.records == f"claims/{name}/mini"
        header = (CONFIGS / "experiment" / "claims" / f"{name}.yaml").read_text().split("figure:")[0]
        using = [claim.id for claim in claims.values() if name in claim.experiments]
        assert all(claim in header for claim in using), (name, using)


@pytest.mark.parametrize("name", OWN)
def test_the_base_of_an_experiment_is_its_configuration(name):
    config = config_of(f"experiment=claims/{name}", "scale=mini")
    for key, wanted in load_experiments(RULES)[name].base.items():
        section, field = key.split(".")
        assert getattr(getattr(config, section), field) == wanted, key


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 1}, "unknown key colour"),
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
