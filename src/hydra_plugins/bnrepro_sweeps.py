"""Plugins that Hydra finds by being here: a sweeper and a launcher, both thin.

Every use of Hydra loads this module, and so does every worker: what it needs is imported where it is used.
"""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """All combinations of what is typed; with ``sweep=NAME`` of each of its grids, one after the other."""

    config: DictConfig
    launcher: Launcher

    def __init__(self, grids: list[dict[str, Any]] | None = None):
        self.grids = list(grids or [])

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """As Hydra asks for it."""
        self.hydra_context, self.config = hydra_context, config
        instantiate = Plugins.instance().instantiate_launcher
        self.launcher = instantiate(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Conduct the sweep; ``arguments`` are in the configuration, too."""
        from bnrepro.sweeps.conduct import announce, conduct
        from bnrepro.sweeps.jobs import plan

        jobs = plan(self.config, self.grids)
        announce(jobs)
        conduct(self.config, self.launcher, jobs)


class GPUQueue(JoblibLauncher):
    """As many runs at a time as there are places on GPUs; a run sees the GPU that its place is on.

    Args:
        gpus: their names, as in CUDA_VISIBLE_DEVICES; None: all that are visible.
        runs_per_gpu: places on each.
    """

    def __init__(self, gpus: list[int | str] | None = None, runs_per_gpu: int = 1):
        super().__init__()
        self.gpus, self.runs_per_gpu = gpus, runs_per_gpu

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """As Hydra asks for it; here a missing GPU ends the sweep before it begins."""
        from bnrepro.sweeps.gpus import visible

        self.gpus = [str(gpu) for gpu in self.gpus or visible()]
        self.joblib = {"n_jobs": len(self.gpus) * self.runs_per_gpu}
        config.hydra.overrides.hydra.append(f"hydra.launcher.gpus=[{','.join(self.gpus)}]")  # every job is told
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
