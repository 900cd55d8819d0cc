"""One job of a parallel sweep, in a process of its own: ``python -m bnrepro.worker JOB.YAML COMMAND LAUNCHER_PID``."""

import sys

from omegaconf import OmegaConf

from bnrepro.launch import train_here
from bnrepro.training.interrupt import follow_parent

if __name__ == "__main__":
    follow_parent(int(sys.argv[3]))
    sys.exit(train_here(OmegaConf.load(sys.argv[1]), sys.argv[2]))
