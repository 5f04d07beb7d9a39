# Every target does its own set-up: Python 3.11+, pip and make are all it takes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_STORE := ./demo.store
# Which tests: all, or those of a file or folder.
T ?=
# Tests start Python some thousand times. Where it may not keep what it compiled, each start compiles all that it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test check lint format docs clean

help:
	@echo "make demo    index examples/sounds and ask three questions"
	@echo "make test    lint, types and all tests, slow ones too; T=tests/store runs a part"
	@echo "make check   lint, types and the quick tests; T as above"
	@echo "make format  put the code in its standard form"
	@echo "make docs    write again what the commands in README and docs print"
	@echo "make clean   remove what the others made"

demo: $(VENV)/installed
	@for step in \
	    "index examples/sounds --store $(DEMO_STORE)" \
	    "query 'dog barking' -k 3 --format table --store $(DEMO_STORE)" \
	    "query 'rain' -k 3 --format table --store $(DEMO_STORE)" \
	    "query 'snare drum' -k 3 --format table --store $(DEMO_STORE)"; do \
	    echo; echo "$$ pe-search $$step"; eval "$(BIN)/pe-search $$step" || exit $$?; \
	done

test: lint
	$(BIN)/pytest -n auto $(T)

check: lint
	$(BIN)/pytest -n auto -m "not slow" $(T)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/installed-dev
	$(BIN)/python -m tests.docs.pages

clean:
	rm -rf $(VENV) $(DEMO_STORE) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# pip says nothing while it unpacks, which takes half a minute for torch alone. So this says every few seconds what goes on;
# what pip itself says is shown if it fails. Python compiles a module when it first imports it, and most it never does.
define install
	@echo "Installing $(1) into $(VENV). The first time this takes some minutes."
	@( while sleep 5; do \
	    if grep -q '^Installing collected' $(VENV)/pip.log; then \
	        echo "  unpacked $$(ls -d $(VENV)/lib/python3*/site-packages/*.dist-info | wc -l | tr -d ' ') packages"; \
	    else \
	        echo "  $$(sed -n -e 's/^ *\(Collecting [^ ]*\).*/\1/p' -e 's/^ *\(Downloading .*\)/\1/p' $(VENV)/pip.log | tail -n 1)"; \
	    fi; \
	done ) & beat=$$!; trap "kill $$beat 2>/dev/null" EXIT; \
	$(BIN)/pip install --no-compile --progress-bar off --constraint constraints.txt --editable $(2) > $(VENV)/pip.log 2>&1 || \
	    { cat $(VENV)/pip.log; exit 1; }
endef

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pe-search needs Python 3.11 or newer")'
	@echo "Making $(VENV) with $(PYTHON)."
	@$(PYTHON) -m venv $(VENV)
	$(call install,pe-search,.)
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(call install,pe-search and what its tests need,'.[dev]')
	@touch $@
