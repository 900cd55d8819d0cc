"""docs/gpu.md: its commands name what there is, and what they leave under results/ is reported at its scale."""

import re
import shlex

import pytest
import yaml

from bnrepro.analysis.figures import layers_plot
from bnrepro.cli import report
from bnrepro.config import overrides
from bnrepro.training.validation import typed
from conftest import ROOT, compose_config
from fake_records import write_run

TEXT = (ROOT / "docs" / "gpu.md").read_text().replace("\\\n", " ")


def words(script: str) -> list[list[str]]:
    """The words of each command of a script."""
    return [shlex.split(line, comments=True) for line in re.findall(rf"scripts/{script}\.py(.*)", TEXT)]


@pytest.mark.parametrize("given", words("train"), ids=lambda given: given[1])
def test_each_sweep_can_be_composed(given):
    overrides.check(given)
    named = [word.removeprefix("experiment=").split(",") for word in given if word.startswith("experiment=")]
    rest = [w for w in given[1:] if not w.startswith(("experiment=", "sweep=", "seed=", "hydra"))]
    for experiment in named[0] if named else ["figure4/member1"]:
        config = typed(compose_config(f"experiment={experiment}", *rest))
        assert config.scale["name"] in ("laptop", "tiny64") and (config.device, config.publish) == ("cuda", True)


def test_the_evaluation_can_be_composed():
    (given,) = words("evaluate")
    compose_config(*given, config="evaluate")


def test_what_was_published_is_reported_at_its_scale(tmp_path, monkeypatch, capsys):
    """One seed an arm, as a short time may leave it."""
    monkeypatch.setattr(layers_plot, "LAYERS", dict([next(iter(layers_plot.LAYERS.items()))]))  # panels take seconds
    for variant in ("inception", "bn_baseline", "bn_x5", "bn_x30"):
        record = write_run(tmp_path / "figure2" / "tiny64" / "runs", variant, 0, [0.1 + k / 100 for k in range(19)])
        changed = record.config | {"scale": {"name": "tiny64"}}
        changed["data"] |= {"classes": 0, "pixels": 64}
        (record.path / "config.yaml").write_text(yaml.safe_dump(changed))
    assert report.main(["figure2", "--scale", "tiny64", "--results", str(tmp_path)]) == 0
    table = (tmp_path / "figure2" / "tiny64" / "table.md").read_text()
    assert "Tiny-ImageNet, 200 classes, 64 px, scale tiny64" in table and "`bn_x5_sigmoid`" in table
    assert str(tmp_path / "figure2" / "tiny64" / "figure.png") in capsys.readouterr().out
