"""What a trained network sees: ``python scripts/predict.py --run runs/RUN IMAGE...``."""

import sys

from bnrepro.use.predict import main

if __name__ == "__main__":
    sys.exit(main())
