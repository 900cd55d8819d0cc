"""Evaluate trained networks: ``python scripts/evaluate.py runs/A runs/B``. See configs/evaluate.yaml."""

import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from bnrepro.cli.mistakes import exit_status
from bnrepro.config.folders import CONFIGS
from bnrepro.config.overrides import with_runs
from bnrepro.records.provenance import typed_command
from bnrepro.use import evaluate


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="evaluate")
def main(composed: DictConfig) -> None:
    command = typed_command("evaluate", HydraConfig.get().overrides.task)
    sys.exit(exit_status(lambda: evaluate.evaluate(composed, command)))  # Hydra would add a line to an error


def start() -> None:
    """Put the runs that are named into the overrides, and evaluate them."""
    sys.argv[1:] = with_runs(sys.argv[1:])
    main()


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors instead of printing them
    sys.exit(exit_status(start))
