"""The data sets: what is known of each without reading it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """A data set that a configuration can name; its module in `bnrepro.data` has the same name.

    Args:
        title: in words.
        classes: how many it has.
        validation: images per class that a network is judged on; of MNIST on average.
        tuning: images per class that ``data.split=tune`` holds out of training, likewise.
    """

    title: str
    classes: int
    validation: int
    tuning: int


DATASETS = {
    "mnist": DataSet("MNIST", classes=10, validation=1000, tuning=1000),
    "tiny_imagenet": DataSet("Tiny-ImageNet", classes=200, validation=50, tuning=50),
    "imagenet": DataSet("ImageNet", classes=1000, validation=50, tuning=128),
}
