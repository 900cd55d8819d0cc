"""What a record's data set holds, from its configuration: classes, chance, held-out images."""

from bnrepro.analysis.reading.load import Record
from bnrepro.config.datasets import DATASETS


def classes(record: Record) -> int:
    """How many classes the network tells apart."""
    data = record.config["data"]
    return data.get("classes") or DATASETS[data["name"]].classes


def chance(record: Record) -> float:
    """The accuracy of guessing."""
    return 1 / classes(record)


def held_out(record: Record) -> int:
    """How many images an accuracy is measured on: validation images, or those that the tuning split holds out."""
    data = record.config["data"]
    known = DATASETS[data["name"]]
    each = known.tuning if data.get("split") == "tune" else known.validation
    return classes(record) * min(each, data.get("images_per_class") or each)


def title(record: Record) -> str:
    """The data set and scale in words."""
    data, scale = record.config["data"], record.config["scale"]["name"]
    return f"{DATASETS[data['name']].title}, {classes(record)} classes, {data['pixels']} px, scale {scale}"
