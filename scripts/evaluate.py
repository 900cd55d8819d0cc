"""Evaluate trained networks: ``python scripts/evaluate.py runs/A runs/B``. See configs/evaluate.yaml."""

import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from bnrepro.config.folders import CONFIGS
from bnrepro.config.overrides import in_one_line, with_runs
from bnrepro.errors import UserError
from bnrepro.records.provenance import typed_command
from bnrepro.use import evaluate


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="evaluate")
def main(composed: DictConfig) -> None:
    try:
        evaluate.evaluate(composed, typed_command("evaluate", HydraConfig.get().overrides.task))
    except UserError as error:  # here, before Hydra adds a line of its own
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to here
    try:
        sys.argv[1:] = with_runs(sys.argv[1:])
        main()
    except (UserError, HydraException) as error:
        print("error:", in_one_line(error), file=sys.stderr)
        sys.exit(2)
