# make demo   a body, its standard views, X-rays with labels and a report, in out/demo
# make test   the whole test suite
# make lint   style and types
# make bench-quick   how fast the line integrals are, in half a minute
# make bench-accuracy, make bench-registration   how right they are; how well a body is found again
# Choose a Python with PYTHON=, another torch build with TORCH=, your own CT with CT= LABELS= LANDMARKS=.

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv
OUT ?= out/demo
BIN := $(VENV)/bin

.PHONY: demo test lint bench-quick bench-accuracy bench-registration clean

demo: $(VENV)/.installed
	$(BIN)/skiagraph demo --output "$(OUT)" $(if $(CT),--ct "$(CT)") $(if $(LABELS),--labels "$(LABELS)") $(if $(LANDMARKS),--landmarks "$(LANDMARKS)")
	@echo "Look at $(OUT)/report.html and $(OUT)/contact_sheet.png"

test: $(VENV)/.tested
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.tested
	$(BIN)/ruff format --check core tests
	$(BIN)/ruff check core tests
	$(BIN)/mypy

bench-quick: $(VENV)/.tested
	$(BIN)/python core/benchmarks/speed.py

bench-accuracy: $(VENV)/.tested
	$(BIN)/python core/benchmarks/accuracy.py

bench-registration: $(VENV)/.installed
	$(BIN)/python core/benchmarks/registration.py

# torch comes first and pinned: what depends on it would otherwise bring the newest build, with gigabytes of CUDA.
$(VENV)/.installed: pyproject.toml core/native/CMakeLists.txt $(wildcard core/native/*.cpp core/native/*.hpp)
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "Skiagraph needs Python 3.11 or newer; say which with PYTHON=/path/to/python3.12"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) out build
