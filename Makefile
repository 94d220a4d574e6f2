# The two main commands are `make report` and `make test`. They change this folder only; .venv is a virtual environment.
CONFIG ?= config.yaml
CORES  ?= all
GPUS   ?= $(shell nvidia-smi -L 2>/dev/null | grep -c ^GPU)
VENV   := .venv
BIN    := $(VENV)/bin

# The first Python ≥ 3.11 that can make a virtual environment; set PYTHON= to choose another one.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	"$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

.PHONY: report check fetch test check-format train benchmarks contact-sheets lock clean

report: $(VENV)/.report  ## Make the gallery of CONFIG (default: the demo); KEEP=1 keeps results of older code
	@$(BIN)/python -m cnnviz.config $(CONFIG)
	$(BIN)/snakemake --cores $(CORES) $(addprefix --resources gpu=,$(filter-out 0,$(GPUS))) --configfile $(CONFIG) \
		$(if $(KEEP),--rerun-triggers mtime input)
	@$(BIN)/python -m cnnviz.config $(CONFIG) --where

check: $(VENV)/.report  ## Check CONFIG before a long run: pictures, preprocessing, labels, and the amount of work
	@$(BIN)/python -m cnnviz.check $(CONFIG)

fetch: $(VENV)/.slurm  ## Download packages and published weights of CONFIG, on a login node, so that no job needs the internet
	@$(BIN)/python -m cnnviz.fetch $(CONFIG)

test: $(VENV)/.test  ## Run the tests and style checks; SLOW=1 runs the slow tests too, as CI does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(if $(SLOW),,-m "not slow")
	@echo "All tests passed. What they prove is in tests/, one file for each file of cnnviz/."
	$(if $(SLOW),,@echo "Not run: the slow tests, of a real Slurm, of two runs in different folders, and of the findings on networks whose truth is known. CI runs them, and so does 'make test SLOW=1'.")

train: $(VENV)/.report  ## Train the demo's two networks again (6 CPU-minutes)
	$(BIN)/python -m cnnviz.demo.train --output cnnviz/demo/weights/biased.safetensors
	$(BIN)/python -m cnnviz.demo.train --unbiased --output cnnviz/demo/weights/unbiased.safetensors

benchmarks: $(VENV)/.test  ## Compare our speed with other packages; REPORTS="a.yaml b.yaml" measures pictures of finished runs instead
	$(BIN)/python -m benchmarks$(if $(REPORTS),.real_nets $(REPORTS))

contact-sheets: $(VENV)/.report  ## One picture of each section out of the finished runs of REPORTS="a.yaml b.yaml", to be looked at
	$(BIN)/python -m benchmarks.contact_sheets $(REPORTS)

lock: $(VENV)/.uv  ## Pin the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml -o requirements.txt --upgrade $(LOCK)
	$(BIN)/uv pip compile pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt $(LOCK)
	$(BIN)/uv pip compile pyproject.toml --group slurm -c requirements.txt -o requirements-slurm.txt $(LOCK)
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

clean:  ## Remove the environment and all results
	rm -rf $(VENV) results .snakemake

# ------------------------------------------------------------------------------------------------------ environments
# uv installs in seconds what pip takes minutes for; its own version and hashes are pinned in requirements-uv.txt.
# Every job is a process: with compiled bytecode it imports torch in half the time, even if Python cannot write any.
$(VENV)/.uv: requirements-uv.txt
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 with venv was found. Install one (on Debian and Ubuntu: apt install python3-venv), or say which: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

$(VENV)/.report: requirements.txt $(VENV)/.uv
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.slurm: requirements-slurm.txt $(VENV)/.report
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements-slurm.txt
	@touch $@

$(VENV)/.test: requirements-dev.txt $(VENV)/.uv
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements-dev.txt
	@touch $@ $(VENV)/.report
