# make reproduce   train Figure 1 on the MNIST that ships here, draw it, print its table beside the committed one
# make test        every test
# make report      rebuild results/ from the committed records
# make dashboard   live views of local runs in the terminal
# make site        write the results page, site/index.html (REPOSITORY=address makes its links absolute)
# make notebooks   execute the notebooks and write them back
# make bench       measure speed against named peers
# make faults      kill runs, crash them before every change on disk, fill disks, feed hostile files; compare with runs left alone

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

RUNS := $(or $(BNREPRO_RUNS),runs)

.PHONY: reproduce test report dashboard site notebooks bench faults lint clean

reproduce: $(READY)
	$(BIN)/python scripts/train.py -m hydra/launcher=joblib experiment=figure1/plain,figure1/bn 'seeds=[0,1,2,3,4]'
	$(BIN)/python scripts/report.py figure1 --records $(RUNS) --out $(RUNS)/figure1 --compare

test: $(READY)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadgroup

report: $(READY)
	$(BIN)/python scripts/report.py

dashboard: $(READY)
	$(BIN)/python scripts/dashboard.py local

site: $(READY)
	$(BIN)/python scripts/report.py site --repository "$(REPOSITORY)"

notebooks: $(READY)
	$(BIN)/python scripts/notebooks.py

bench: $(READY)
	$(BIN)/python scripts/benchmark.py mnist

faults: $(READY)
	$(BIN)/python -W ignore tests/faults

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4) and "bnrepro needs Python 3.11.4 or newer; make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)
