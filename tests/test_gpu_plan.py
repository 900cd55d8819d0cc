"""docs/gpu.md: its commands fit a call and name what there is; what comes back is merged and reported at its scale."""

import re
import shlex
import shutil
import tarfile

import pytest
import yaml

from bnrepro import campaign, command_line, report
from bnrepro.analysis import layers_plot
from bnrepro.validation import typed
from conftest import CONFIGS, ROOT, compose_config
from fake_records import write_run

TEXT = (ROOT / "docs" / "gpu.md").read_text()
CALLS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
LONGEST = 2000  # characters of a command, and seconds of a call
SECONDS = 600


def words(script: str) -> list[list[str]]:
    """The key=value words of each command of a script, in the calls and in the text."""
    text = TEXT.replace(",\\\n", ",").replace("\\\n", " ").replace('"$@"', "").replace("$HOME", "/home")
    plain = [line.split("  #")[0] for line in re.findall(rf"scripts/{script}\.py(.*)", text)]
    return [[word for word in shlex.split(line) if re.match(r"[a-z_./]+=", word)] for line in plain]


def test_each_call_fits():
    assert len(CALLS) == 5 and all(len(call) <= LONGEST for call in CALLS)
    for call in CALLS:
        minutes = sum(float(m) for m in re.findall(r"--minutes ([\d.]+)\b", call))
        others = sum(int(seconds) for seconds in re.findall(r"timeout (\d+)", call))
        assert 60 * minutes + others < SECONDS - 30


@pytest.mark.parametrize("given", [given for given in words("campaign") if given], ids=lambda given: given[-1][:30])
def test_each_campaign_can_be_composed(given):
    command_line.check(given, CONFIGS)
    (experiments,) = [word.removeprefix("experiment=").split(",") for word in given if word.startswith("experiment=")]
    rest = [w for w in given if not w.startswith(("experiment=", "seed=", "hydra"))]
    for experiment in experiments:
        config = typed(compose_config(f"experiment={experiment}", *rest))
        assert (config.scale["name"], config.device, config.training.precision) == ("tiny64", "cuda", "bfloat16")


def test_each_evaluation_can_be_composed():
    given = words("evaluate")
    assert len(given) == 2
    for some in given:
        compose_config(*(word.replace("[$run]", "[runs/a]") for word in some), config="evaluate")


def test_what_comes_back_is_merged_and_reported(tmp_path, monkeypatch, capsys):
    """One seed an arm, as half an hour may leave it."""
    monkeypatch.setattr(layers_plot, "LAYERS", dict([next(iter(layers_plot.LAYERS.items()))]))  # panels take seconds
    runs, results = tmp_path / "runs", tmp_path / "results"
    curve = [0.1 + k / 100 for k in range(19)]
    for variant in ("inception", "bn_baseline", "bn_x5", "bn_x30"):
        record = write_run(runs, variant, 0, curve)
        changed = record.config | {"scale": {"name": "tiny64"}}
        changed["data"] |= {"classes": 0, "pixels": 64}
        (record.path / "config.yaml").write_text(yaml.safe_dump(changed))
    open_run = write_run(runs, "bn_x5_sigmoid", 0, curve)
    (open_run.path / "status.json").write_text('{"state": "interrupted"}')
    assert campaign.pack(sorted(runs.iterdir()), tmp_path / "figure2.tar") == 4
    results.mkdir()
    with tarfile.open(tmp_path / "figure2.tar") as tar:
        tar.extractall(results, filter="data")
    shutil.rmtree(runs)
    assert report.main(["figure2", "--scale", "tiny64", "--results", str(results)]) == 0
    table = (results / "figure2" / "tiny64" / "table.md").read_text()
    assert "Tiny-ImageNet, 200 classes, 64 px, scale tiny64" in table and "`bn_x5_sigmoid`" in table
    assert str(results / "figure2" / "tiny64" / "figure.png") in capsys.readouterr().out
