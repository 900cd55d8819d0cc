"""The plot of a claim: what its axes show, with parts whose numbers are known."""

import pytest

from bnrepro.analysis.claims.judge import judge_part
from bnrepro.analysis.claims.plot import draw
from fake_claims import RATIO, part_of, two_arms


@pytest.fixture
def drawn(tmp_path):
    """A claim of two small differences, one that is forty times as large, and a ratio."""
    small, large = two_arms(tmp_path / "small", [0.50, 0.51], [0.52, 0.54]), two_arms(tmp_path / "large", [0.1], [0.9])
    gain, ratio = part_of(tmp_path / "gain"), part_of(tmp_path / "ratio", **RATIO | {"above": 1})
    parts = [judge_part(small, gain), judge_part(large, gain), judge_part(small, gain), judge_part(small, ratio)]
    ours = [
        {"family": "directional", "value": judged.value, "unit": judged.part.unit, "is": judged.part.kind, "n": 2}
        for judged in parts
    ]
    return draw({"id": "C99", "verdict": "holds", "claim": "BN helps.", "ours": ours}, parts)


def test_parts_of_one_unit_and_comparable_size_share_an_axis(drawn):
    assert [len(axes.get_yticks()) for axes in drawn.axes] == [2, 1, 1]
    assert [axes.get_xlabel() for axes in drawn.axes] == ["points of accuracy", "points of accuracy", "ratio"]
    assert [axes.get_xscale() for axes in drawn.axes] == ["linear", "linear", "log"]


def test_the_claim_is_the_title_and_no_difference_is_in_sight(drawn):
    assert drawn.get_suptitle() == "C99 holds: BN helps."
    for axes, reference in zip(drawn.axes, (0, 0, 1), strict=True):
        low, high = axes.get_xlim()
        assert low < reference < high
    texts = [text.get_text() for text in drawn.axes[0].texts]
    assert texts == ["+2.50 points", "+2.50 points"]
