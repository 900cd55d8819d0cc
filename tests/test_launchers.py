"""A local queue for GPUs, with cards that are not there, and submitit, whose local mode stands for Slurm."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bnrepro.errors import UserError
from bnrepro.sweeps.pool import visible_gpus
from bnrepro.training.interrupt import StopRequest
from conftest import ROOT, compose_config
from launches import TRAIN, wait_for_steps

TINY = ("scale=smoke", "probe=none", "logger.mode=disabled", "evaluation.population_batches=2")
SHORT = (*TINY, "scale.mnist.steps=300", "evaluation.every=300")
LONG = (*TINY, "scale.mnist.steps=3000", "evaluation.every=3000", "checkpoint_seconds=0.5")


def sweep(environment, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*TRAIN, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def workers(process: subprocess.Popen) -> list[psutil.Process]:
    family = psutil.Process(process.pid).children(recursive=True)
    own = {child.pid: child for child in family if "bnrepro.sweeps.worker" in child.cmdline()}
    return [child for child in own.values() if child.ppid() not in own]  # not a worker's fork


def statuses(environment) -> list[dict]:
    return [json.loads(path.read_text()) for path in Path(environment["BNREPRO_RUNS"]).glob("*-s*/status.json")]


def test_each_run_of_the_gpu_queue_sees_one_gpu(environment):
    """Three runs on two cards: two at a time, the third where there is a place again."""
    queue = ("hydra/launcher=gpu_queue", "hydra.launcher.gpus=[4,7]")
    process = sweep(environment, *queue, "experiment=figure1/plain", *SHORT, "seed=0,1,2")
    gpus, most = {}, 0
    while process.poll() is None:
        try:
            running = [(child.pid, child.environ()["CUDA_VISIBLE_DEVICES"]) for child in workers(process)]
        except (psutil.Error, KeyError):  # one has just ended
            continue
        gpus |= dict(running)
        most = max(most, len(running))
        assert len({gpu for _, gpu in running}) == len(running), "two runs on one GPU"
        time.sleep(0.2)
    output = process.stdout.read()
    assert process.returncode == 0 and "sweep: 3 finished" in output, output
    assert len(gpus) == 3 and set(gpus.values()) == {"4", "7"} and most == 2
    assert sorted(line[:12] for line in output.splitlines() if "on GPU" in line) == [
        f"job {k}: on GP" for k in range(3)
    ]


def test_gpus_that_are_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-abc")
    assert visible_gpus() == ["2", "GPU-abc"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(UserError, match="finds no GPU here"):
        visible_gpus()


def test_a_preempted_job_is_requeued_and_resumes(environment):
    """What Slurm does to all of a job's processes, and what it tells submitit; the run ends as if nothing had been."""
    pytest.importorskip("submitit")
    process = sweep(environment, "hydra/launcher=submitit_local", "experiment=figure1/plain", *LONG, "seed=0")
    wait_for_steps(Path(environment["BNREPRO_RUNS"]), 1, process)
    (worker,) = workers(process)
    for signum in (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2):
        worker.send_signal(signum)
    worker.parent().send_signal(signal.SIGUSR2)
    output = process.communicate(timeout=3000)[0]
    assert process.returncode == 0 and "sweep: 1 finished" in output, output
    (status,) = statuses(environment)
    assert len(status["resumed"]) == 1 and status["exact_resume"]
    assert "interrupted at step" in output and output.count("plain-s0") >= 2


def test_the_slurm_launcher_asks_for_an_array_of_jobs_that_are_requeued(tmp_path):
    """What goes to sbatch, without Slurm."""
    pytest.importorskip("submitit")
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf
    from submitit.slurm.slurm import SlurmExecutor, _make_sbatch_string

    from conftest import CONFIGS

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        composed = compose("train", ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"], return_hydra_config=True)
    launcher = OmegaConf.to_container(composed.hydra.launcher, resolve=False)
    assert launcher["_target_"].endswith("SlurmLauncher")
    assert launcher["max_num_timeout"] > 0 and launcher["gpus_per_node"] == 1
    known = SlurmExecutor._valid_parameters()
    assert {"partition", "signal_delay_s", "array_parallelism"} <= known
    options = {name: launcher[name] for name in ("partition", "gpus_per_node", "array_parallelism", "signal_delay_s")}
    text = _make_sbatch_string(command="run", folder=tmp_path, map_count=12, **options)
    assert "#SBATCH --array=0-11%12" in text and "#SBATCH --signal=USR2@120" in text
    assert "#SBATCH --gpus-per-node=1" in text


def test_a_stop_request_hears_what_is_not_ignored_and_a_launcher_may_ask_twice():
    program = (
        "import os, signal; from bnrepro.training.interrupt import StopRequest;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with StopRequest() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM); assert stop.signum is None\n"
        "    os.kill(os.getpid(), signal.SIGINT); assert stop.signum == signal.SIGINT\n"
        "    os.kill(os.getpid(), signal.SIGUSR1); assert stop.signum == signal.SIGUSR1\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert signal.SIGUSR1 in StopRequest.SIGNALS


@pytest.mark.parametrize(("pause", "code"), [(0.0, 0), (1.1, -signal.SIGTERM)])
def test_only_a_later_signal_acts_at_once(pause, code):
    """`timeout` sends SIGTERM twice, to the process and to its group: the run still has to be saved."""
    program = (
        "import os, signal, time; from bnrepro.training.interrupt import StopRequest\n"
        "with StopRequest() as stop:\n"
        f"    os.kill(os.getpid(), signal.SIGTERM); time.sleep({pause}); os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('saved', stop.signum, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert done.stdout == ("saved 15\n" if code == 0 else "")


def test_a_worker_that_only_waits_does_not_load_torch():
    program = "import sys, bnrepro.sweeps.worker, hydra_plugins.bnrepro_sweeps; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_launchers_compose():
    for launcher in ("basic", "joblib", "gpu_queue"):
        compose_config("experiment=figure1/bn", f"hydra/launcher={launcher}")
