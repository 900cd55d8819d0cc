"""Execute every notebook and write it back with its outputs: ``python scripts/notebooks.py`` (make notebooks)."""

from bnrepro.notebooks import rebuild

if __name__ == "__main__":
    for path in rebuild():
        print(path)
