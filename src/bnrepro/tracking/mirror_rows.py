"""What the dashboards get of a record: its rows, each with what the probes saw at that step."""

import math
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
LEVELS = ("p15", "p50", "p85")  # what a panel of percentiles is made of


def rows(history: list[dict[str, Any]], probes: dict[str, Any]) -> list[tuple[int, dict[str, float]]]:
    """The rows of metrics.csv, and at the probe's steps the percentiles and what the instruments read of each layer.

    Percentiles of a dense layer are the mean over its units and unit 0, of a convolutional one all channels pooled.
    """
    shown = {int(row["step"]): {name: value for name, value in row.items() if name != "step"} for row in history}
    for t, step in enumerate(probes.get("steps", [])):
        if seen := _instruments(probes, t) | _percentiles(probes, t):
            shown.setdefault(int(step), {}).update(seen)
    return sorted(shown.items())


def _instruments(probes: dict[str, Any], t: int) -> dict[str, float]:
    """What each instrument read at the probe's look ``t``; sites that it does not measure (nan) are left out."""
    seen = {}
    for name in sorted(probes.keys() - PERCENTILES):
        read = zip(probes["sites"].tolist(), probes[name][t].tolist(), strict=True)
        seen |= {f"{name}/{_place(site)}": value for site, value in read if not math.isnan(value)}
    return seen


def _percentiles(probes: dict[str, Any], t: int) -> dict[str, float]:
    """The percentiles of each layer at the probe's look ``t``."""
    seen: dict[str, float] = {}
    for layer in sorted(set(probes["layers"].tolist())) if "layers" in probes else ():
        units = probes["percentiles"][t][probes["layers"] == layer].astype("float32")
        if "layer_names" in probes:
            shown = {f"nonlinearity_input/{_place(probes['layer_names'][layer])}": units[0]}
        else:
            place = f"sigmoid_input/layer{layer}"
            shown = {f"{place}/mean": units.mean(0), f"{place}/unit0": units[0]}
        for place, values in shown.items():
            seen |= {f"{place}/{level}": float(value) for level, value in zip(LEVELS, values, strict=True)}
    return seen


def _place(layer: str) -> str:
    """A layer's name without dots, which W&B takes for nesting."""
    return layer.replace(".", "_")
