"""The mirror of a run in W&B: it follows the record from a thread of its own and is never waited for.

Rows reach W&B only once a checkpoint covers them, each with its own step, so that a run that was killed and resumed
shows no gap and no repeat. Whatever happens to W&B, the run goes on and its record is complete.
"""

import netrc
import os
import queue
import threading
import time
from pathlib import Path
from typing import Any

PERCENTILES = {  # the arrays of a record's probes that are not an instrument's
    "steps",
    "layers",
    "units",
    "layer_names",
    "sites",
    "percentiles",
    "percentiles_inference",
    "percentiles_before",
}
SUMMARY = {"val/loss": "min", "val/top1": "max", "val/top5": "max", "tune/loss": "min", "tune/top1": "max"}

_starting = threading.Lock()  # runs stacked in one program start one by one
_unreachable = False  # once W&B could not be reached, this process does not try again


def resolve_mode(requested: str) -> str:
    """``auto`` becomes WANDB_MODE if set, else online where there is an API key, else offline."""
    if requested != "auto":
        return requested
    if mode := os.environ.get("WANDB_MODE"):
        return {"dryrun": "offline"}.get(mode, mode)
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    try:
        machines = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return "offline"
    return "online" if any("wandb" in machine for machine in machines) else "offline"


class Mirror:
    """One W&B run.

    Args:
        runs_dir: offline runs are kept in ``<runs_dir>/wandb``.
        mode: online, offline or disabled.
        timeout: seconds for W&B to connect, after which the run is logged offline, and at the end to take the rest.
        **settings: what ``wandb.init`` takes: id, name, project, entity, group, job_type, tags, notes, config.
    """

    def __init__(self, runs_dir: Path, mode: str, timeout: float, **settings: Any):
        self.error: str | None = None
        self._sent = -1
        self._rows: queue.SimpleQueue[list[tuple[int, dict[str, Any]]] | int] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._follow, args=(runs_dir, mode, timeout, settings), daemon=True)
        if mode != "disabled":
            self._thread.start()

    def sync(self, rows: list[tuple[int, dict[str, Any]]]) -> None:
        """Hand over rows that have become durable; those handed over before are left out."""
        new = [row for row in rows if row[0] > self._sent]
        if new:
            self._sent = new[-1][0]
            self._rows.put(new)

    def close(self, exit_code: int) -> None:
        """Say that no more rows will come; does not wait."""
        self._rows.put(exit_code)

    def wait(self, until: float) -> bool:
        """Wait for W&B to take the rest, until `time.monotonic` says ``until``; False when it has not by then."""
        if self._thread.ident is None:
            return True
        self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()

    def _follow(self, runs_dir: Path, mode: str, timeout: float, settings: dict[str, Any]) -> None:
        try:
            run = _start(runs_dir, mode, timeout, settings)
            first = run.step
            while not isinstance(item := self._rows.get(), int):
                for step, values in item:
                    if step >= first:
                        run.log(values, step=step)
            run.finish(exit_code=item)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}".splitlines()[0]


def _start(runs_dir: Path, mode: str, timeout: float, settings: dict[str, Any]) -> Any:
    root = runs_dir.resolve()
    for kind in ("DATA", "CACHE", "CONFIG", "ARTIFACT"):  # W&B otherwise stages files in the home directory
        os.environ.setdefault(f"WANDB_{kind}_DIR", str(root / "wandb" / ".wandb"))
    import wandb
    from wandb.errors import CommError, UsageError

    def start(mode: str) -> Any:
        options = wandb.Settings(
            init_timeout=timeout,
            finish_timeout=timeout,
            console="off",
            silent=True,
            x_transaction_log_flush_interval=1.0,  # by default rows of the last 15 s die with the process
        )
        return wandb.init(dir=root, mode=mode, resume="allow", reinit="create_new", settings=options, **settings)

    global _unreachable
    with _starting:
        try:
            run = start("offline" if _unreachable else mode)
        except (CommError, UsageError):
            _unreachable = True
            wandb.teardown()  # it still holds the id of the run that could not connect
            run = start("offline")
    for metric, best in SUMMARY.items():
        run.define_metric(metric, summary=f"{best},last")
    return run


def rows(history: list[dict[str, Any]], probes: dict[str, Any]) -> list[tuple[int, dict[str, float]]]:
    """What W&B gets: the rows, and at the probe's steps the percentiles and what the instruments read of each layer.

    Percentiles of a dense layer are the mean over its units and unit 0, of a convolutional one all channels pooled.
    """
    looks = {int(row["step"]): {name: value for name, value in row.items() if name != "step"} for row in history}
    for t, step in enumerate(probes.get("steps", [])):
        for name in probes.keys() - PERCENTILES:
            read = zip(probes["sites"].tolist(), probes[name][t].tolist(), strict=True)
            looks.setdefault(int(step), {}).update({f"{name}/{site}": value for site, value in read if value == value})
        for layer in sorted(set(probes["layers"].tolist())) if "layers" in probes else ():
            units = probes["percentiles"][t][probes["layers"] == layer].astype("float32")
            if "layer_names" in probes:
                shown = {f"nonlinearity_input/{probes['layer_names'][layer]}": units[0]}
            else:
                place = f"sigmoid_input/layer{layer}"
                shown = {f"{place}/mean": units.mean(0), f"{place}/unit0": units[0]}
            for name, values in shown.items():
                for level, value in zip(("p15", "p50", "p85"), values, strict=True):
                    looks.setdefault(int(step), {})[f"{name}/{level}"] = float(value)
    return sorted(looks.items())
