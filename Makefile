# Needs Python >= 3.11 and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
# Of each of these, mypy runs by itself: their files import one another by bare name, and some have the same.
SCRIPTS := $(filter-out scripts/phrasebook,$(sort $(patsubst %/,%,$(dir $(shell find scripts -name '*.py')))))

.PHONY: quickstart test slow lint check lowest audit clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "beamtrain needs Python >= 3.11, this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

quickstart: .venv/.installed  ## the tour: teacher forcing, the search in the loop, both scored, two lines translated
	$(BIN)/python scripts/train.py --config quickstart.yaml --overwrite
	$(BIN)/python scripts/train.py --config quickstart_beam.yaml --overwrite
	$(BIN)/beamtrain compare --reference data/phrasebook/test.de.gz --changed 2 \
	    runs/quickstart/report/test.hyp runs/quickstart_beam/report/test.hyp
	@printf '%s\n' 'Could you please open the window?' 'The train to Vienna leaves at half past seven.' \
	    | $(BIN)/beamtrain translate --model runs/quickstart_beam

test: .venv/.installed  ## the default tests: offline, on the CPU, some files at a time
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

slow: .venv/.installed  ## the long tests too: real training, real corpora, pages in Chromium if it is there
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest -m 'slow or browser'

lint: .venv/.installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for folder in $(SCRIPTS); do MYPYPATH=$$folder $(BIN)/mypy $$folder/*.py || exit; done

check: lint test  ## what CI runs

lowest:  ## the default tests with the lowest versions that pyproject.toml allows, in a place of their own
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install --quiet uv
	build/lowest/bin/uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct -e '.[dev]'
	build/lowest/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

audit: .venv/.installed  ## known vulnerabilities of all installed packages, from PyPI; pip-audit has a place of its own
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

clean:
	rm -rf .venv build dist
