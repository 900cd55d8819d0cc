"""The sweeper and the launchers that Hydra finds here.

Every use of Hydra loads this module, so it imports what takes long only when it is needed.
"""

from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

# A file in configs/ would make Hydra warn wherever the package hydra-joblib-launcher is installed.
ConfigStore.instance().store(group="hydra/launcher", name="joblib", node={"n_jobs": -1})


class GridSweeper(Sweeper):
    """Runs all combinations of the values of a command, within each grid of ``sweep=NAME``."""

    def __init__(self, grids: list[dict[str, Any]] | None = None):
        self.grids = list(grids or [])

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the configuration and make the launcher; if there is no GPU for it, the sweep ends here."""
        from bnrepro.sweeps.pool import Pool

        self.config = config
        if "submitit" in config.hydra.launcher.get("_target_", ""):
            self.launcher = Submitit(hydra_context=hydra_context, task_function=task_function, config=config)
        elif "networks" in config.hydra.launcher:
            from bnrepro.sweeps.gpu_stacks import GPUStacks

            self.launcher = GPUStacks(config.hydra.launcher)
        else:
            self.launcher = Pool(config.hydra.launcher)

    def sweep(self, arguments: list[str]) -> None:
        """Conduct the sweep. The configuration holds ``arguments``, too."""
        from bnrepro.sweeps.conduct import conduct
        from bnrepro.sweeps.jobs import plan

        conduct(self.config, self.launcher, plan(self.config, self.grids))


class Submitit:
    """One of Hydra's launchers for Slurm; it composes the configuration of a job again where the job runs."""

    def __init__(self, **hydra: Any):
        self.launcher = Plugins.instance().instantiate_launcher(**hydra)

    def launch(self, jobs: list, first: int, directory: Path) -> None:
        """Train jobs, numbered from ``first``, wait for all of them, and raise the first exception among them."""
        returned = self.launcher.launch([list(job.overrides) for job in jobs], initial_job_idx=first)
        for fault in [job._return_value for job in returned if job.status == JobStatus.FAILED]:
            raise fault
