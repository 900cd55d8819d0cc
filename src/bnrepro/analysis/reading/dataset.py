"""What a record's data set holds, from its configuration: classes, chance, held-out images."""

from bnrepro.analysis.reading.load import Record

TITLES = {"imagenet": "ImageNet", "tiny_imagenet": "Tiny-ImageNet", "mnist": "MNIST"}
CLASSES = {"imagenet": 1000, "tiny_imagenet": 200, "mnist": 10}
VALIDATION = {"imagenet": 50, "tiny_imagenet": 50, "mnist": 1000}  # images a class; of MNIST on average
TUNING = {"imagenet": 128, "tiny_imagenet": 50, "mnist": 1000}  # those held out of training, likewise


def classes(record: Record) -> int:
    """How many classes the network tells apart."""
    data = record.config["data"]
    return data.get("classes") or CLASSES[data["name"]]


def chance(record: Record) -> float:
    """The accuracy of guessing."""
    return 1 / classes(record)


def held_out(record: Record) -> int:
    """How many images an accuracy is measured on: validation images, or those that the tuning split holds out."""
    data = record.config["data"]
    each = (TUNING if data.get("split") == "tune" else VALIDATION)[data["name"]]
    return classes(record) * min(each, data.get("images_per_class") or each)


def title(record: Record) -> str:
    """The data set and scale in words."""
    data, scale = record.config["data"], record.config["scale"]["name"]
    return f"{TITLES[data['name']]}, {classes(record)} classes, {data['pixels']} px, scale {scale}"
