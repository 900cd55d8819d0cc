"""How figures look, and saving them so that the same data gives the same bytes."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

WITHOUT, WITH = "#b5532a", "#1f5fa8"  # told apart in grey and by colour-blind readers

matplotlib.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "svg.hashsalt": "bnrepro",
        "figure.dpi": 110,
    }
)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.svg without dates or versions in them."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    figure.savefig(paths[0], dpi=160, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None, "Creator": None})
    return paths
