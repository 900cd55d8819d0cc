"""Execute notebooks and write them back with their outputs: ``python scripts/notebooks.py`` (make notebooks)."""

import argparse

from bnrepro.cli.notebooks import names, rebuild

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Execute notebooks and write them back with their outputs.")
    parser.add_argument("name", nargs="*", help=f"of {', '.join(names())} (default: all of them)")
    options = parser.parse_args()
    if unknown := set(options.name) - set(names()):
        parser.error(f"no notebook {unknown.pop()}; there are {', '.join(names())}")
    for path in rebuild(options.name or names()):
        print(path)
