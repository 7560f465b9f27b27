# Two commands: `make demo` runs the whole benchmark on generated phantoms, `make test` checks the project.
# Both set up .venv first, from requirements.lock. Another interpreter: `make demo PYTHON=python3.12`.

PYTHON ?= python3
BIN := .venv/bin

# Jobs of the workflow call `contrastseg` and `python` by name: let them find those of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo speed gpu gpu-pack docs pages test test-long lint format lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       run benchmarks/demo.yaml on generated phantoms (CPU, minutes) and say where the report is"
	@echo "make speed      measure everything that has a target (CPU, a quarter of an hour) and say which are reached"
	@echo "make gpu        measure on a GPU what fits into MINUTES=8, and go on from there at the next call"
	@echo "make gpu-pack   write what 'make gpu' needs on a machine without a network into results/gpu-pack"
	@echo "make test       linters, types and every test of less than half a minute"
	@echo "make test-long  the long tests"
	@echo "make lint       linters and types alone"
	@echo "make format     put Python files and rule files into the project's format"
	@echo "make pages      make findings, results, figures and the result of the README again from the stored scores"
	@echo "make docs       build the documentation's site into site/"
	@echo "make lock       remake requirements.lock and environment.yml from what .venv holds"
	@echo "make clean      remove caches, site/ and results/demo; .venv, resources/ and other results stay"

# One pip command for all pins, so that pip settles on one build of torch. The project itself is linked without build
# isolation: setuptools is among the pins and nothing more has to be fetched.
.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "contrastseg needs Python 3.11 or newer; '$(PYTHON)' is not. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@echo "Installing the locked packages into .venv: some minutes, once."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

# Compiled once, too: containers often set PYTHONDONTWRITEBYTECODE, and then each of a suite's jobs compiles the project
# for itself, a third of a CPU second. Hashes of the sources say what is out of date.
.venv/linked: pyproject.toml setup.py .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q --invalidation-mode checked-hash contrastseg
	@touch $@

.venv: .venv/linked

demo: .venv/linked
	$(BIN)/python benchmarks/external_row.py
	$(BIN)/snakemake --configfile benchmarks/demo_tuned.yaml --cores all
	$(BIN)/snakemake --configfile benchmarks/demo.yaml --cores all
	@echo "The report: $(CURDIR)/results/demo/report.html"

# CSV files in results/speed; those under benchmarks/speed/results are longer runs, made script by script.
speed: .venv/linked
	$(BIN)/python benchmarks/speed/run.py

# The next items of a fixed list that fit into the minutes; results/gpu holds finished items, and the next call continues.
MINUTES ?= 8
gpu: .venv/linked
	$(BIN)/python benchmarks/gpu/measure.py --minutes $(MINUTES)

# The same list for a machine that has Python and torch and no network: results/gpu-pack, at most 40 MiB.
gpu-pack: .venv/linked
	$(BIN)/python benchmarks/gpu/pack.py $(if $(PACK_PYTHON),--python $(PACK_PYTHON)) \
	  $(if $(PACK_THERE),--there $(PACK_THERE)) $(if $(PACK_UNLABELLED),--unlabelled $(PACK_UNLABELLED))

lint: .venv/linked
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --configfile benchmarks/demo.yaml --lint

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not long" --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The table of docs/long-tests.md: python -m contrastseg.report.site.long_tests results/test-long.xml --output docs/long-tests.md
test-long: .venv/linked
	OMP_NUM_THREADS=1 $(BIN)/pytest -m long --numprocesses 2 --dist loadfile --junitxml results/test-long.xml

format: .venv/linked
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

# After new scores under results/reference: commit what this changes.
pages: .venv/linked
	$(BIN)/python -m contrastseg.report.site.made_pages

docs: .venv/linked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site: $(CURDIR)/site/index.html"

lock: .venv/linked
	$(BIN)/python .ci/lock.py

clean:
	rm -rf results/demo site .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find contrastseg tests workflow -name __pycache__ -type d -prune -exec rm -rf {} +
