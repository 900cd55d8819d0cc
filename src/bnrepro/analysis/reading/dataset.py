"""Facts about a run's data set, read from its configuration."""

from bnrepro.analysis.reading.load import Record
from bnrepro.config.datasets import DATASETS


def classes(record: Record) -> int:
    """Return the number of classes."""
    data = record.config["data"]
    return data.get("classes") or DATASETS[data["name"]].classes


def chance(record: Record) -> float:
    """Return the accuracy of guessing."""
    return 1 / classes(record)


def held_out(record: Record) -> int:
    """Return how many images the accuracy is measured on: validation images, or the held-out ones of tuning."""
    data = record.config["data"]
    known = DATASETS[data["name"]]
    each = known.tuning if data.get("split") == "tune" else known.validation
    return classes(record) * min(each, data.get("images_per_class") or each)


def title(record: Record) -> str:
    """Return the data set and the scale in words."""
    data, scale = record.config["data"], record.config["scale"]["name"]
    return f"{DATASETS[data['name']].title}, {classes(record)} classes, {data['pixels']} px, scale {scale}"
