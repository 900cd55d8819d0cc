"""What the tests share: the repository's root, small configurations, and running its doors as a user would."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from bnrepro.config.schema import Config
from bnrepro.training.validation import typed

pytest_plugins = ["built_site", "fake_imagenet", "norms"]  # their fixtures
pytest.register_assert_rewrite("launches")  # its asserts are to say what differs

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def compose_config(*overrides: str, config: str = "train") -> DictConfig:
    """The composed training configuration with these overrides, or another one."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(config, list(overrides))


def config_of(*overrides: str) -> Config:
    """The same, checked and typed, as a run gets it."""
    return typed(compose_config(*overrides))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose runs go to ``tmp_path``/runs and that has no W&B account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return kept | {"BNREPRO_RUNS": str(tmp_path / "runs"), "HOME": str(tmp_path), "WANDB_MODE": "disabled"}


@pytest.fixture
def door(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess]:
    """``door("train.py", "experiment=...")`` runs scripts/train.py to its end."""

    def run(script: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / script), *arguments],
            cwd=ROOT,
            env=environment | changes,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
