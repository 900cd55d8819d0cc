"""What of the GPU's numbers is set against a peer or a target."""

import statistics
from typing import Any, Protocol

from bnrepro.benchmarks import curves
from bnrepro.benchmarks.cells import Cells
from bnrepro.benchmarks.steps import Setting

FASTER, LOADER_SHARE = 3.0, 0.03  # targets: our choice


class Named(Protocol):
    """A network at a scale."""

    name: str
    scale: str

    def cell(self, setting: Setting) -> str: ...


def rows_of(
    cells: Cells,
    first: Named,
    largest: str,
    batch: int,
    loader: dict[int, list[float]],
    together: dict[str, dict[int, float]],
) -> list[dict[str, Any]]:
    """Rows for `common.write`; a row whose cells were not measured is left out.

    Args:
        cells: what was measured.
        first: the network that has targets.
        largest: the scale of the comparison with torchvision.
        batch: the mini-batch that has targets.
        loader: seconds a batch, by batch size.
        together: images a second in total by the number of processes, by setting.
    """
    at = f"{first.name}, {first.scale}"
    best = _best(cells, f"{at}, batch {batch},")
    same = Setting(batch, "bfloat16", tuned=True)
    peers = [
        f"timm's step, {first.cell(Setting(batch, 'tf32', False, tuned=True))}",
        f"timm's step, {first.cell(same)}",
    ]
    theirs = f"torchvision's googlenet, {largest}, {same}"
    pairs = [
        (best, first.cell(Setting(batch, channels_last=False)), FASTER),
        (best, peers[0], 1.0),
        (first.cell(same), peers[1], 1.0),
        (_best(cells, f"bn_googlenet, {largest}, batch {batch},"), theirs, 1.0),
    ]
    pairs += [(best, first.cell(Setting(batch, "bfloat16", compile=mode)), None) for mode in ("none", "default")]
    rows = []
    for mine, other, target in pairs:
        if (mine != other or target) and mine in cells.rates and other in cells.rates:
            rows.append(_row(f"images/s, {mine} over {other}", cells.rate(mine) / cells.rate(other), target))
    if best and batch in loader:
        share = statistics.median(loader[batch]) * cells.rate(best)
        rows.append(
            {
                "what": f"resident loader's share of a step, {best}",
                "ratio": share,
                "target": f"< {LOADER_SHARE:g}",
                "met": share < LOADER_SHARE,
            }
        )
    for setting, found in together.items():
        for count in list(found)[1:]:
            what = f"images/s together, {at}, {setting}, {count} side by side over one"
            rows.append(_row(what, found[count] / found[min(found)], None))
    return rows


def rows_of_curve(found: dict[str, list[float]] | None) -> list[dict[str, Any]]:
    """Whether the fast setting learns as float32 does; nothing if it was not tried."""
    if not found:
        return []
    ratio = curves.ratio(found)
    what = f"{curves.WHAT}: difference of {next(iter(found))} from float32 over that of another seed"
    return [{"what": what, "ratio": ratio, "target": f"< {curves.WITHIN:g}", "met": ratio < curves.WITHIN}]


def _best(cells: Cells, prefix: str) -> str:
    """The fastest cell whose name begins so; empty if there is none."""
    return max((name for name in cells.rates if name.startswith(prefix)), key=cells.rate, default="")


def _row(what: str, ratio: float, target: float | None) -> dict[str, Any]:
    met = target is None or (ratio > target if target == 1 else ratio >= target)
    told = "none set" if target is None else "> 1" if target == 1 else f">= {target:g}"
    return {"what": what, "ratio": ratio, "target": told, "met": met}
