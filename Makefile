# make demo   a body, its standard views, X-rays with labels and a report, in out/demo
# make test   the whole test suite
# make lint   style and types
# make bench-quick   how fast the line integrals are, in half a minute
# make bench   ours beside RTK, ITK, plastimatch, nanodrr and DiffDRR, half an hour; peers get an environment of their own
# make bench-accuracy, make bench-registration, make bench-scatter   how right they are; how well a body is found again;
#   the scatter estimate against its Monte Carlo
# make gpu-check   parity and speed of the CUDA engine, where there is an NVIDIA GPU
# make fuzz   odd fields, grids and views by the thousand, on a library with sanitizers; MINUTES=5, SEED= for the same again
# make active-learning   strategies of choosing X-rays replayed, 15 CPU minutes; goes on when run again
# make serve STUDIES=folder   X-rays of a folder for annotators, at http://127.0.0.1:8000; PORT=, HOST=, ARGS="--users ..."
# make serve-setup   its environment, .venv-serve, apart because MONAI Label wants other packages; make test-serve tests it
# make test-slicer   the 3D Slicer module on Slicer's own C++ core, in .venv-slicer; SKIAGRAPH_SCREENSHOTS=folder keeps
#   pictures of its panels
# make page   builds the annotator's page again, with Node 20.19 or newer; nobody else needs Node
# Choose a Python with PYTHON=, another torch build with TORCH=, your own CT with CT= LABELS= LANDMARKS=.

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv
OUT ?= out/demo
BIN := $(VENV)/bin

MINUTES ?= 5

SERVE_VENV ?= .venv-serve
SLICER_VENV ?= .venv-slicer
# Slicer 5.10 and 5.12 bring Python 3.12; the module has to load there before torch is installed.
SLICER_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.12.*/bin/python /usr/bin/python3.12))
SLICER_CORE ?= 5.12.4.0
SLICER_PACKAGES := slicer-core==$(SLICER_CORE) PySide6_Essentials
# What Qt and VTK draw with where there is no screen.
SCREEN := xvfb libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-image0 libxcb-render-util0 libxkbcommon-x11-0 \
  libxcb-shape0 libxcb-xkb1 libegl1 libosmesa6 libgl1 libdbus-1-3

PORT ?= 8000
HOST ?= 127.0.0.1

.PHONY: demo test test-slicer lint bench bench-quick bench-accuracy bench-registration bench-samples bench-scatter bench-pose bench-xray gpu-check fuzz train train-tool sim2real active-learning serve serve-setup test-serve page clean

demo: $(VENV)/.installed
	$(BIN)/skiagraph demo --output "$(OUT)" $(if $(CT),--ct "$(CT)") $(if $(LABELS),--labels "$(LABELS)") $(if $(LANDMARKS),--landmarks "$(LANDMARKS)")
	@echo "Look at $(OUT)/report.html and $(OUT)/contact_sheet.png"

# Where others compute too, threads that wait busily for each other make tests ten times as long.
test test-slicer: export OMP_WAIT_POLICY ?= PASSIVE

test: $(VENV)/.tested
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.tested
	$(BIN)/ruff format --check core tests monailabel_app slicer_extension
	$(BIN)/ruff check core tests monailabel_app slicer_extension
	$(BIN)/mypy

bench-quick: $(VENV)/.tested
	$(BIN)/python core/benchmarks/speed.py

bench: $(VENV)/.tested
	$(BIN)/python core/benchmarks/bench.py --torch "$(TORCH)" $(ARGS)

bench-samples: $(VENV)/.tested
	$(BIN)/python core/benchmarks/sample_loop.py --torch "$(TORCH)" $(ARGS)

# The detector of models/hip_landmark_detector: half an hour for its set, an hour for its network on two cores. On a GPU
# give ARGS="--size 384 --batch 48 --steps 12000"; it goes on from its checkpoint when run again.
train: $(VENV)/.installed
	$(BIN)/skiagraph make-samples --preset hip-ap --bodies shape:250 --count 10000 --seed 1 --output out/hip10k
	$(BIN)/skiagraph train-detector out/hip10k --output out/detector --size 192 --batch 16 --steps 3400 --every 200 $(ARGS)
	$(BIN)/skiagraph evaluate out/hip10k out/detector/synthetic.html --bundle out/detector

# The detector of models/tool_detector: some eight minutes for its set and ten for its network on one core. On a GPU make
# 20000 X-rays of 400 bodies of 384 pixels, and give ARGS="--size 384 --batch 48 --steps 12000"; both go on when run again.
train-tool: $(VENV)/.installed
	$(BIN)/skiagraph make-samples --preset tool-or-none --bodies shape:40 --count 1500 --size 192 --seed 1 --output out/tool-set
	$(BIN)/skiagraph train-detector out/tool-set --output out/tool --start hip_landmark_detector --size 192 --batch 8 --steps 1200 --every 200 $(ARGS)
	$(BIN)/skiagraph evaluate out/tool-set out/tool/synthetic.html --bundle out/tool

# SyntheX's matrix, those of its cells that two cores can run in some two hours; it goes on when run again.
sim2real: $(VENV)/.installed
	$(BIN)/skiagraph experiment sim2real out/sim2real $(ARGS)

active-learning: $(VENV)/.installed
	$(BIN)/skiagraph experiment active-learning out/active_learning $(ARGS)

bench-xray: $(VENV)/.installed
	$(BIN)/python core/benchmarks/xray_generator.py $(ARGS)

bench-pose: $(VENV)/.installed
	$(BIN)/python core/benchmarks/pose_plausibility.py $(ARGS)

bench-scatter: $(VENV)/.tested
	$(BIN)/python core/benchmarks/scatter.py

gpu-check: $(VENV)/.installed
	$(BIN)/python core/benchmarks/gpu_check.py

fuzz: $(VENV)/.tested
	$(BIN)/python -m pip install --quiet cmake
	$(BIN)/cmake -S core/native -B build/sanitized -DSKIAGRAPH_SANITIZE=ON
	$(BIN)/cmake --build build/sanitized --parallel 2
	ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=8 LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so)" $(BIN)/python \
		core/benchmarks/fuzz.py --library build/sanitized/skiagraph_native.so --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

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

serve: $(SERVE_VENV)/.installed
	@test -n "$(STUDIES)" || { echo "Say which folder of X-rays: make serve STUDIES=folder"; exit 2; }
	@$(SERVE_VENV)/bin/skiagraph serve "$(STUDIES)" --host "$(HOST)" --port "$(PORT)" $(ARGS)

serve-setup: $(SERVE_VENV)/.installed

test-serve: $(VENV)/.tested $(SERVE_VENV)/.installed
	SKIAGRAPH_SERVE_PYTHON="$(abspath $(SERVE_VENV))/bin/python" $(BIN)/python -m pytest tests/monailabel_app $(ARGS)

# Tests that need a screen or a Python 3.12 skip, and say so, where there is none.
test-slicer: $(SLICER_VENV)/.installed
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(SCREEN) >/dev/null 2>&1; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SCREEN); fi
	bare="$(abspath $(SLICER_VENV))/bare/bin/python"; test ! -x "$$bare" || export SKIAGRAPH_BARE_PYTHON="$$bare"; \
		$(SLICER_VENV)/bin/python -m pytest tests/slicer_extension $(ARGS)

page:
	cd monailabel_app/page && npm ci --ignore-scripts && npm test && npm run build
	@git diff --stat --exit-code -- monailabel_app/page/dist || echo "The built page has changed: commit monailabel_app/page/dist with its sources"

# MONAI Label comes last and alone: what it asks for itself does not start (numpy < 2, a CUDA torchvision).
$(SERVE_VENV)/.installed: pyproject.toml core/native/CMakeLists.txt $(wildcard core/native/*.cpp core/native/*.hpp)
	test -x $(SERVE_VENV)/bin/python || $(PYTHON) -m venv $(SERVE_VENV)
	$(SERVE_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(SERVE_VENV)/bin/python -m pip install --quiet "$(TORCH)"
	$(SERVE_VENV)/bin/python -m pip install --quiet --editable .
	$(SERVE_VENV)/bin/python -m pip install --quiet --editable ".[serve]"
	$(SERVE_VENV)/bin/python -m pip install --quiet --no-deps monailabel==0.8.5
	touch $@

$(SLICER_VENV)/.installed: pyproject.toml core/native/CMakeLists.txt $(wildcard core/native/*.cpp core/native/*.hpp)
	test -x $(SLICER_VENV)/bin/python || $(PYTHON) -m venv $(SLICER_VENV)
	$(SLICER_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(SLICER_VENV)/bin/python -m pip install --quiet "$(TORCH)"
	$(SLICER_VENV)/bin/python -m pip install --quiet $(SLICER_PACKAGES) pytest beartype --editable .
	@if [ -n "$(SLICER_PYTHON)" ]; then $(SLICER_PYTHON) -m venv $(SLICER_VENV)/bare \
		&& $(SLICER_VENV)/bare/bin/python -m pip install --quiet $(SLICER_PACKAGES); \
		else echo "No Python 3.12; give one with SLICER_PYTHON= to test a Slicer without torch"; fi
	touch $@

clean:
	rm -rf $(VENV) $(SERVE_VENV) $(SLICER_VENV) out build
