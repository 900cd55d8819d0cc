"""Run a tool of timm's with this repository's networks registered.

python scripts/with_timm.py PATH/TO/timm/train.py --model bn_inception ...
"""

import runpy
import sys
from pathlib import Path

from bnrepro.models import registered  # noqa: F401 - registers the networks

if __name__ == "__main__":
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        tool = sys.argv[1] if len(sys.argv) > 1 else "nothing"
        print(f"error: no tool to run ({tool}); give the path of one of timm's scripts", file=sys.stderr)
        sys.exit(2)
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
