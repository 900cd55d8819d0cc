"""The guides in docs/ do as they say: their files work as they stand there, and their commands can be run."""

import contextlib
import io
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from bnrepro.analysis.claims import definitions
from bnrepro.analysis.claims.arms import Records
from bnrepro.analysis.claims.commands import commands
from bnrepro.config.datasets import DATASETS, DataSet
from bnrepro.config.overrides import check
from bnrepro.data import load
from bnrepro.layers import registry
from bnrepro.probes.instruments import INSTRUMENTS
from bnrepro.sweeps import jobs
from bnrepro.training.validation import typed
from conftest import CONFIGS, ROOT, config_of
from launches import TWO_STEPS, finished

GUIDES = ("add-a-normaliser", "add-a-variant", "add-a-probe", "add-a-claim", "add-a-data-set")


def text_of(guide: str) -> str:
    return (ROOT / "docs" / f"{guide}.md").read_text()


def files_of(guide: str) -> dict[str, str]:
    """The files that a guide has written, by path: a line with the path in backticks, and then all of it as code."""
    found = re.findall(r"`((?:src|configs)/[\w/.-]+)`([^\n]*)\n\n```\w+\n(.*?)```", text_of(guide), re.DOTALL)
    return {path: content for path, remark, content in found if "shortened" not in remark}


def commands_of(guide: str) -> list[list[str]]:
    """The words of each command that a guide gives, a line that ends in a backslash joined to the next."""
    lines = re.sub(r"\\\n\s*", "", text_of(guide)).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("    python ")]


@pytest.fixture
def added(tmp_path, monkeypatch) -> Path:
    """The normaliser and the instrument of the guides, registered, and a folder of configurations that has theirs."""
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS, configs)
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    for guide in GUIDES:
        for path, content in files_of(guide).items():
            if path.startswith("configs/"):
                (tmp_path / path).write_text(content)
            elif path.startswith("src/bnrepro/layers/"):
                exec(content, {})
            elif path.startswith("src/bnrepro/probes/"):
                names = {"__name__": "of_the_guide"}
                exec(content, names)
                monkeypatch.setitem(INSTRUMENTS, "correlation", names["correlation"])
            elif path.startswith("src/bnrepro/data/"):
                module = ModuleType("bnrepro.data.cifar10")
                exec(content, vars(module))
                monkeypatch.setitem(sys.modules, module.__name__, module)
                (row,) = re.findall(r"```python\n *\"cifar10\": (.*),\n```", text_of(guide))
                monkeypatch.setitem(DATASETS, "cifar10", eval(row, {"DataSet": DataSet}))
    return configs


def run(tmp_path: Path, *overrides: str) -> Path:
    """The record of a run of two steps."""
    (record,) = finished(config_of(*overrides, *TWO_STEPS, f"runs_dir={tmp_path / 'runs'}"))
    return record


def test_the_guides_say_which_files_they_add():
    assert {path for guide in GUIDES for path in files_of(guide)} == {
        "src/bnrepro/layers/rms_norm.py",
        "configs/norm/rms_norm.yaml",
        "configs/experiment/figure2/bn_x10.yaml",
        "src/bnrepro/probes/of_pairs.py",
        "configs/claims/S11.yaml",
        "configs/experiment/claims/other_norms.yaml",
        "src/bnrepro/data/cifar10.py",
        "configs/scale/cifar10.yaml",
    }


@pytest.mark.parametrize("where", ["figure1/bn", "figure2/bn_x5"])
def test_the_normaliser_trains(added, where, tmp_path):
    path = run(tmp_path, f"experiment={where}", "norm.name=rms_norm")
    state = torch.load(path / "checkpoint.pt", weights_only=True)["model"]
    learnt = [tensor for name, tensor in state.items() if name.endswith("norm.bias")]
    assert learnt and any(tensor.abs().max() > 0 for tensor in learnt)


def test_the_normaliser_is_what_it_says(added):
    norm = registry.build_norm("rms_norm", 3, eps=0.0)
    torch.testing.assert_close(norm(torch.tensor([[3.0, 4.0, 5.0]])), torch.tensor([[3.0, 4.0, 5.0]]) / (50 / 3) ** 0.5)
    norm.weight.data, norm.bias.data = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 0.0, 1.0])
    maps = torch.ones(2, 3, 4, 5)
    torch.testing.assert_close(norm(maps)[:, :, 0, 0], torch.tensor([[1.0, 2.0, 4.0]] * 2))
    assert not list(registry.build_norm("rms_norm", 3, affine=False).parameters())


def test_the_instrument_reads_a_number_a_layer_and_its_reader_reads_them(added, tmp_path, monkeypatch):
    for norm in ("none", "bn"):
        path = run(tmp_path, "experiment=figure1/bn", f"norm={norm}", f"variant=seen_{norm}",
                   "probe.instruments=[correlation]")  # fmt: skip
        with np.load(path / "probes.npz") as arrays:
            values = arrays["correlation/mean"]
        assert values.shape[1] == 3 and ((values >= 0) & (values <= 1)).all()
    *_, reader = re.findall(r"```python\n(.*?)```", text_of("add-a-probe"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(reader, {})
    assert said.getvalue().startswith("none ['layer1' 'layer2' 'layer3'] [1 2]\n")


@pytest.mark.parametrize("split", ["full", "tune"])
def test_the_data_set_trains(added, tmp_path, split):
    rng = np.random.default_rng(0)
    for part, count in (("train", 80), ("val", 20)):
        images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
        np.savez(tmp_path / f"{part}.npz", images=images, labels=np.arange(count) % 10)
    words = ("experiment=figure2/bn_baseline", "scale=cifar10", f"data.root={tmp_path}", f"data.split={split}")
    short = [word for word in TWO_STEPS if not word.startswith("scale=")]
    with initialize_config_dir(str(added), version_base="1.3"):
        config = typed(compose("train", [*words, *short, f"runs_dir={tmp_path / 'runs'}"]))
    (record,) = finished(config)
    state = torch.load(record / "checkpoint.pt", weights_only=True)
    assert [name for _, name in state["classes"]][3] == "cat"


def test_units_that_say_the_same_correlate(added):
    """Of three units two are one, and the third is independent of them."""
    from bnrepro.models.mlp import MLP
    from bnrepro.probes.scene import Scene

    model = MLP((2, 3, 2), lambda features: None).double()
    model.hidden[0].linear.weight.data[0] = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]])
    images = torch.tensor([[[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]], dtype=torch.float64)
    looked_at = Scene(model, lambda images, labels: model(images).sum(), model, [(images, torch.zeros(1, 4))], 0.1)
    assert INSTRUMENTS["correlation"](looked_at)["mean"] == pytest.approx([1 / 3])


def test_the_claim_is_one_of_records_that_its_command_makes(added, monkeypatch):
    (entry,) = re.findall(r"```yaml\n(other_norms:\n.*?)```", text_of("add-a-claim"), re.DOTALL)
    path = added / "claims" / "experiments.yaml"
    path.write_text(path.read_text() + entry)
    claim, found = definitions.load_claims(added / "claims")["S11"], definitions.load_experiments(added / "claims")
    (part,) = claim.parts
    assert part.weights == {"layer_norm": 1.0, "none": -1.0} and part.unit == "points" and part.seeds == 5
    assert f"results/{found[part.experiment].records}/runs" in text_of("add-a-claim")
    made = commands([part], Records(ROOT / "results", found))
    assert all("experiment=claims/other_norms" in command for command in made) and "norm=layer_norm" in made[0]


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_the_guides_compose(added, guide, monkeypatch):
    monkeypatch.setattr(load, "fingerprint", lambda data: "0")
    found = [words[2:] for words in commands_of(guide) if words[1] == "scripts/train.py"]
    assert found
    for words in found:
        check(words)
        overrides = [word for word in words if word != "-m"]
        with initialize_config_dir(str(added), version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            jobs.plan(hydra.compose_config("train", overrides, RunMode.MULTIRUN, with_log_configuration=False))


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_guide_can_be_found_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert all(f"(docs/{page.name})" in readme for page in (ROOT / "docs").glob("*.md"))
