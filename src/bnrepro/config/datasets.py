"""The data sets, and the facts about each that need no file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """A data set that a configuration can name; its module in `bnrepro.data` has the same name.

    Args:
        title: for tables and plots.
        classes: number of classes.
        validation: images per class to evaluate on; for MNIST the average.
        tuning: images per class that ``data.split=tune`` holds out of training; for MNIST the average.
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
