"""The records of an arm: those of an experiment whose configurations have the arm's values."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bnrepro.analysis.claims.rules import Experiment
from bnrepro.analysis.reading.load import Record, records_of
from bnrepro.config.schema import Config
from bnrepro.records.files import read_json

STATISTICS = "statistics.json"  # beside an experiment's runs: accuracies with other statistics in BN
_DEFAULTS = asdict(Config())


def value(config: dict[str, Any], key: str) -> Any:
    """Return a configuration's value by its dotted key; the frozen default if an older record lacks the key."""
    section, name = key.split(".")
    return config.get(section, {}).get(name, _DEFAULTS[section][name])


class Records:
    """The records of all experiments, by name, each read once from a source of `reading.load.records_of`."""

    def __init__(self, source: Path | str, experiments: dict[str, Experiment]):
        self.source, self.experiments = source, experiments
        self._by_experiment: dict[str, list[Record]] = {}

    def of_experiment(self, name: str) -> list[Record]:
        """Return all records of an experiment."""
        if name not in self._by_experiment:
            home = self.experiments[name].records
            figure, _, scale = home.rpartition("/")
            records = records_of(self.source, figure, scale)
            if (path := Path(self.source) / home / STATISTICS).is_file():
                accuracies = read_json(path)["runs"]
                records = [_with_statistics(record, accuracies.get(record.path.name, {})) for record in records]
            self._by_experiment[name] = records
        return self._by_experiment[name]

    def arm(self, name: str, overrides: dict[str, Any], varied: tuple[str, ...] = ()) -> list[Record]:
        """Return the records of one arm of an experiment; the keys ``varied`` may have any value."""
        experiment = self.experiments[name]
        settings = experiment.base | experiment.usual | overrides
        fixed = {key: wanted for key, wanted in settings.items() if key not in varied}
        records = self.of_experiment(name)
        return [r for r in records if all(value(r.config, key) == wanted for key, wanted in fixed.items())]


def _with_statistics(record: Record, accuracies: dict[str, float]) -> Record:
    final = {f"statistics/{name}": accuracy for name, accuracy in accuracies.items()}
    return replace(record, status=record.status | {"final": record.status.get("final", {}) | final})
