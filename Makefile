.DEFAULT_GOAL := help
PYTHON ?= python3.11
CONFIG ?= config.yaml
BIN := .venv/bin
SNAKEFILES := Snakefile workflow/Snakefile workflow/rules
export PATH := $(CURDIR)/$(BIN):$(PATH)


.PHONY: help setup demo demo-text test test-thorough lint format bench check-gpu coverage new plan status report items path export crate audit why study prune docs tiny-salmonn tiny-llama lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.venv/.done: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: .venv/.done ## install what requirements.lock pins into .venv

test: setup ## run the tests, two files at a time
	pytest -n 2 --dist loadfile --no-loadscope-reorder

test-thorough: setup ## run the tests with every kind of damage and many more kills (half as long again)
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m ''

demo: setup ## evaluate the embedded tiny-salmonn under its LoRA scalings and print the table
	snakemake
	@sed '/^## What the replies were/,$$d' results/reports/tiny-salmonn-lora-scaling/accuracy.md
	@echo 'the items behind it: open results/reports/tiny-salmonn-lora-scaling/index.html'

demo-text: setup ## fine-tune the embedded tiny-llama on a new task and show what the adapter does to it
	snakemake --configfile studies/tiny-llama-adapter.yaml
	@sed '/^## Measures/,$$d' results/reports/tiny-llama-adapter/accuracy.md
	@echo 'the items behind it: open results/reports/tiny-llama-adapter/index.html'

new: setup ## begin a study from a model, an adapter and a table (MODEL=..., ADAPTER=..., DATA=..., NAME=...)
	@python -m lorascope new --model $(MODEL) $(if $(ADAPTER),--adapter $(ADAPTER)) --data $(DATA) $(if $(NAME),--study $(NAME))

plan: setup ## sum up what a run would do (CONFIG=studies/x.yaml, ID="...")
	@python -m lorascope plan --configfile $(CONFIG) $(ID)

status: setup ## tell how far each experiment is (CONFIG=..., ID=...)
	@python -m lorascope status --configfile $(CONFIG) $(ID)

report: setup ## report what is done of a study, naming what is missing (CONFIG=...)
	@python -m lorascope report --configfile $(CONFIG)

items: setup ## print items behind a number (ID=..., AGAINST=..., FLIPPED=yes, CATEGORY=..., METRIC=..., ONLY=wrong, LIMIT=..., OUT=x.jsonl)
	@python -m lorascope items --configfile $(CONFIG) $(ID) $(if $(AGAINST),--against $(AGAINST)) \
	  $(if $(filter yes,$(FLIPPED)),--flipped) $(if $(CATEGORY),--category "$(CATEGORY)") \
	  $(if $(METRIC),--metric "$(METRIC)") $(if $(ONLY),--$(ONLY)) $(if $(LIMIT),--limit $(LIMIT)) \
	  $(if $(OUT),--out $(OUT))

path: setup ## tell where an experiment's files lie (ID=..., FILE=scores for one alone, CONFIG=...)
	@python -m lorascope path --configfile $(CONFIG) $(ID) $(if $(FILE),--file $(FILE))

export: setup ## write answers for other tools (FORMAT=jsonl|sakura|every_eval_ever, OUT=folder, ID="...", FORCE=yes)
	@python -m lorascope export --configfile $(CONFIG) --format $(FORMAT) --out $(OUT) \
	  $(if $(filter yes,$(FORCE)),--force) $(ID)

audit: setup ## look into an adapter alone (ADAPTER=folder, BASE=the model's folder, INTRUDERS=10)
	@python -m lorascope audit $(ADAPTER) $(if $(BASE),--base $(BASE)) $(if $(INTRUDERS),--intruders $(INTRUDERS))

why: setup ## tell what changed since an experiment was last made (ID=..., CONFIG=...)
	@python -m lorascope why --configfile $(CONFIG) $(ID)

study: setup ## print the study with all defaults and IDs (CONFIG=...)
	@python -m lorascope study --configfile $(CONFIG) $(ID)

crate: setup ## describe where a report came from, as an RO-Crate (CONFIG=..., AGENT=..., LICENSE=...)
	@python -m lorascope crate --configfile $(CONFIG) $(if $(AGENT),--agent "$(AGENT)") $(if $(LICENSE),--license "$(LICENSE)")

prune: setup ## list results that no study plans; remove them with REMOVE=yes
	@python -m lorascope prune $(if $(filter yes,$(REMOVE)),--remove) config.yaml studies/*.yaml

lint: setup ## check style, types, the directions of imports, the rules and what plug-ins declare
	ruff check .
	ruff format --check .
	snakefmt --check $(SNAKEFILES)
	snakemake --lint
	snakemake --lint --snakefile workflow/Snakefile
	mypy
	lint-imports
	pytest --quiet tests/unit/study/test_contract.py tests/unit/study/test_plug_in_names.py

SEED ?= 0
tiny-salmonn: setup ## train the embedded checkpoint from nothing (SEED=1 for another; about half an hour)
	pip install --quiet --disable-pip-version-check --editable '.[recipe]'
	python -m training_recipes.tiny_salmonn --seed $(SEED) --out build/tiny-salmonn-$(SEED)

tiny-llama: setup ## train the embedded tiny-llama and its tasks from nothing (SEED=1 for another; two minutes)
	python -m training_recipes.tiny_llama --seed $(SEED) --out build/tiny-llama-$(SEED)

bench: setup ## measure ratios to what a user would pick instead (ONLY=b, RUNS=3, BASE=revision for whole studies)
	@OMP_NUM_THREADS=1 python -m tests.bench --runs $(or $(RUNS),3) $(if $(ONLY),--only $(ONLY)) \
	  $(if $(BASE),--base $(BASE))

check-gpu: setup ## on a GPU: measure the stages on random models of 7B and 8B shape, compare answers (SHAPES=small anywhere)
	@python -m tests.check_gpu $(if $(SHAPES),--shapes $(SHAPES))

coverage: setup ## simulate how often the report's intervals hold the truth, and how many verdicts are false
	@OMP_NUM_THREADS=1 python -m tests.simulation

docs: setup ## generate docs/study.md, the schema for editors and the diagrams of docs/architecture.md
	python -m lorascope reference > docs/study.md
	python -m lorascope schema > workflow/schemas/study.schema.yaml
	python docs/diagrams.py

lock: ## pin anew what pyproject.toml asks for
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet '.[slurm,lm-eval,judge,crate,dev]'
	{ echo "# Every package lorascope runs and is tested with, pinned. Made by: make lock"; \
	  build/lock/bin/pip freeze --all --exclude lorascope --exclude pip | sed 's/+cpu//'; } > requirements.lock

format: setup ## format Python and Snakemake files
	ruff check --fix .
	ruff format .
	snakefmt $(SNAKEFILES)
