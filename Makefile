# make setup: everything that is needed, in .venv, as the lock file pins it.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin

# Real photographs, captions and a detector for tests and benchmarks. Tests that need them are skipped
# where the folder is missing; where GLITBUILD_ASSETS is set they fail instead.
ASSETS ?= ../shared/assets

.PHONY: setup test test-fast lint lock demo demo-models screenshot bench clean

setup: .venv/.done

.venv/.done: requirements.lock setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

test: setup
	$(BIN)/python -m pytest --numprocesses logical --dist loadfile

# What needs no models, no processes and no browser.
test-fast: setup
	$(BIN)/python -m pytest --numprocesses logical --dist loadfile -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: setup
	$(BIN)/glitbuild demo

# Trains the models that ship inside the package, on scenes it draws meanwhile; see glitbuild/demo_models/.
demo-models: setup
	$(BIN)/python -m tools.demo_models.detector
	$(BIN)/python -m tools.demo_models.clip
	$(BIN)/python -m tools.demo_models.clip --hard --steps 220 --batch-size 32 --lr 6e-4 --seed 1
	$(BIN)/python -m tools.demo_models.clip --hard --steps 160 --batch-size 32 --lr 6e-4 --seed 2
	$(BIN)/python -m tools.demo_models.clip --hard --steps 120 --batch-size 32 --lr 6e-4 --seed 3

# The README's picture; needs Chromium.
screenshot: setup
	$(BIN)/python docs/screenshot.py

# The newest versions that setup.cfg allows, for every platform. torch and torchvision belong together:
# torchvision on PyPI is built against that release's CUDA build and does not import with a CPU-only one.
lock: setup
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --generate-hashes --universal --python-version 3.11 \
		--output-file requirements.lock setup.cfg

bench: setup
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/push.py
	GLITBUILD_ASSETS="$${GLITBUILD_ASSETS:-$(ASSETS)}" $(BIN)/python benchmarks/match.py

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
