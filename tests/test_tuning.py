"""The tuning sweeps: the cell that is chosen, and what the tables say."""

from pathlib import Path

from bnrepro.analysis.figures import tuning
from bnrepro.analysis.reading.load import Record
from fake_records import write_record, write_run


def cell(folder: Path, rate: float, top1: float | None, seed: int = 0, init: str = "he", aux: bool = False) -> Record:
    """One run of Figure 2's sweep; without an accuracy it diverged."""
    changes = {"diverged_at": 9} if top1 is None else {"final": {"tune/top1": top1}}
    record = write_run(folder / f"{rate}-{init}-{aux}", "tune_bn", seed, [0.1], **changes)
    record.config["optimizer"] = {"base_lr": rate, "lr_multiplier": 1.0}
    record.config["init"]["name"], record.config["model"]["aux"] = init, aux
    record.config["data"]["split"] = "tune"
    return record


def test_tuning_picks_the_best_mean(tmp_path):
    records = []
    for rate, seed, top1 in ((0.1, 0, 0.9), (0.1, 1, 0.5), (1.0, 0, 0.8), (1.0, 1, 0.8)):
        config = {"optimizer": {"base_lr": rate, "lr_multiplier": 1.0}, "init": {"std": 0.1}}
        status = {"variant": "tune_plain", "seed": seed, "state": "finished", "final": {"tune/top1": top1}, "steps": 9}
        records.append(write_record(tmp_path / f"tune_plain-s{seed}-{rate}", status, config, []))
    chosen = tuning.best(tuning.cells(records))
    assert chosen.loc["plain", "rate"] == 1.0
    assert "| 1 | **80.00 ± 0.00** |" in str(tuning.page(records))


def test_tuning_by_initialisation_and_auxiliary_head(tmp_path):
    given = (("he", 0.1, 0.10), ("he", 1.0, 0.05), ("xavier", 0.1, 0.09), ("xavier", 1.0, None))
    records = [cell(tmp_path, rate, top1, init=init) for init, rate, top1 in given]
    text = str(tuning.page(records, "figure2"))
    assert "on 2,500 training images" in text and "one seed a cell" in text
    assert "| rate | He | Xavier |" in text
    assert "| 0.1 | **10.00** | 9.00 ~ |" in text and "| 1 | 5.00 | diverged |" in text
    records.append(cell(tmp_path, 0.1, 0.2, aux=True))
    chosen = tuning.best(tuning.cells(records)).loc["bn"]
    assert (chosen["rate"], chosen["init"], chosen["aux"]) == (0.1, "he", False)
    assert "| 0.1, auxiliary head | 20.00 ~ |  |" in str(tuning.page(records, "figure2"))


def test_in_tuning_a_lucky_seed_does_not_win_against_more_seeds(tmp_path):
    given = ((0.1, 0, 0.10), (0.1, 1, 0.12), (0.3, 0, 0.11), (0.3, 1, 0.13), (1.0, 0, 0.20))
    records = [cell(tmp_path, rate, top1, seed) for rate, seed, top1 in given]
    assert tuning.best(tuning.cells(records)).loc["bn", "rate"] == 0.3
    text = str(tuning.page(records, "figure2"))
    assert "over 2 seeds" in text and "have one seed" in text
    assert "**12.00 ± 1.41**" in text and "| 1 | 20.00" in text
