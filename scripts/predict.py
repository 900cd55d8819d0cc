"""What a trained network sees: ``python scripts/predict.py runs/RUN IMAGE...``."""

import sys

from bnrepro.cli.predict import main

if __name__ == "__main__":
    sys.exit(main())
