"""Train: ``python scripts/train.py experiment=figure1/bn seed=0``; sweeps with ``-m``. See configs/train.yaml."""

import os
import sys

from bnrepro.training.interrupt import EARLY, hear_early

hear_early()  # importing what follows takes seconds

import hydra  # noqa: E402
from hydra.errors import HydraException  # noqa: E402
from omegaconf import DictConfig  # noqa: E402
from omegaconf.errors import OmegaConfBaseException  # noqa: E402

from bnrepro.config import completion, overrides  # noqa: E402
from bnrepro.config.folders import CONFIGS  # noqa: E402
from bnrepro.errors import UserError  # noqa: E402
from bnrepro.sweeps import launch  # noqa: E402


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(composed: DictConfig) -> None:
    launch.train(composed)


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors, and they are printed below
    try:
        if sys.argv[1:2] and sys.argv[1] in completion.FLAGS:
            print(completion.answer(" ".join(sys.argv[2:]), CONFIGS))
            sys.exit()
        overrides.check(sys.argv[1:], CONFIGS)
        main()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print("error:", overrides.in_one_line(error), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before there is anything to save
        print(EARLY, file=sys.stderr)
        sys.exit(130)
