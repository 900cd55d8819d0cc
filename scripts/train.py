"""Train: ``python scripts/train.py experiment=figure1/bn seed=0``; sweeps with ``-m``. See configs/train.yaml."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from bnrepro import command_line, launch
from bnrepro.errors import UserError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(composed: DictConfig) -> None:
    launch.train(composed)


if __name__ == "__main__":
    try:
        command_line.check(sys.argv[1:], CONFIGS)
    except UserError as error:
        sys.exit(f"error: {error}")
    main()
