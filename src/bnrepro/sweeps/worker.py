"""One job of a sweep, in a process of its own: ``python -m bnrepro.sweeps.worker JOB.YAML COMMAND LAUNCHER_PID``.

It saves and ends on SIGUSR1 from its launcher, or when the launcher ends. Under submitit it ignores what Slurm sends
to all of a job's processes to announce preemption: there is time to train until the launcher, which submitit tells,
ends it.
"""

import os
import signal
import sys

from omegaconf import OmegaConf

from bnrepro.sweeps.launch import train_here
from bnrepro.training.interrupt import follow_parent

if __name__ == "__main__":
    if "SUBMITIT_EXECUTOR" in os.environ:
        for announced in (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2):
            signal.signal(announced, signal.SIG_IGN)
    follow_parent(int(sys.argv[3]))
    sys.exit(train_here(OmegaConf.load(sys.argv[1]), sys.argv[2]))
