"""The results page as built from what is committed, for the tests of it."""

import json
from collections import Counter
from pathlib import Path

import pytest

from bnrepro.cli import report

RESULTS = Path(__file__).resolve().parents[1] / "results"
ROWS = json.loads((RESULTS / "claims.json").read_text())
COUNTS = Counter(row["verdict"] for row in ROWS)


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert report.main(["site", "--results", str(RESULTS), "--out", str(folder)]) == 0
    return folder / "index.html"
