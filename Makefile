# Everything a newcomer needs: `make demo` trains, `make test` checks. Both set up .venv themselves.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# DeepSpeed, and the oldest accelerate that we admit, for the slow tests that shard models.
DISTRIBUTED := $(VENV)/distributed
LOWEST := $(VENV)/lowest

# More than cores: some tests wait, for a sandbox or another process.
WORKERS := $(shell nproc | awk '{n = int($$1 * 3 / 2); print (n > 8 ? 8 : n)}')

.PHONY: demo test slow gpu lint format mutants clean

demo: $(STAMP)
	$(BIN)/scgrpo demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

slow: $(DISTRIBUTED)/.installed $(LOWEST)/.installed
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile -m slow

# What trains in the tests, on a GPU (not in CI, which has none).
gpu: $(STAMP)
	SCGRPO_TEST_DEVICE=cuda $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist load tests/credit tests/teachers tests/trainer

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

# Hours: makes small faults in method/, credit/ and trainer/ one at a time, and lists which of them
# no test notices. PARTS narrows it: make mutants PARTS='scgrpo.method.*'
mutants: $(STAMP)
	$(BIN)/mutmut run $(PARTS)
	$(BIN)/mutmut results

clean:
	rm -rf $(VENV) runs mutants

# torch comes first, at the pinned version: other packages would ask for the newest build.
$(STAMP): pyproject.toml constraints.txt
	$(or $(shell command -v $(PYTHON)),python3) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "$(shell grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	touch $(STAMP)

$(DISTRIBUTED)/.installed: $(STAMP)
	rm -rf $(DISTRIBUTED)
	DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --no-deps --target $(DISTRIBUTED) --group distributed
	touch $@

$(LOWEST)/.installed: $(STAMP)
	rm -rf $(LOWEST)
	$(BIN)/python -m pip install --quiet --no-deps --target $(LOWEST) \
		"accelerate==$(shell sed -n 's/.*"accelerate>=\(.*\)".*/\1/p' pyproject.toml)"
	touch $@
