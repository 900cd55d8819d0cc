"""Train: ``python scripts/train.py experiment=figure1/bn seed=0``; sweeps with ``-m``. See configs/train.yaml."""

import os
import sys

import hydra
from omegaconf import DictConfig

from bnrepro.cli.mistakes import exit_status
from bnrepro.config.folders import CONFIGS
from bnrepro.config.overrides import check
from bnrepro.sweeps.worker import train


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(composed: DictConfig) -> None:
    train(composed)


def start() -> None:
    """Check the command, and train."""
    check(sys.argv[1:])
    main()


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors instead of printing them
    sys.exit(exit_status(start))
