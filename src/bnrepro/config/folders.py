"""Where the repository keeps what is not code."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "configs"
CLAIMS = CONFIGS / "claims"  # the claims' rules
