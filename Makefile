VENV ?= .venv
PYTHON ?= python3

.PHONY: derive test test-slow lint docs clean

derive: $(VENV)/.installed
	$(VENV)/bin/bneck derive --target 0.8x:mobilenet_v3_small --space v3-small \
		--data digits --out runs/digits --seed 0

test: lint docs
	$(VENV)/bin/pytest -n auto --dist loadscope --no-loadscope-reorder

test-slow: $(VENV)/.installed-test
	$(VENV)/bin/pytest -m slow

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(VENV)/.installed-test
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet --site-dir site

clean:
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/pip
	$(VENV)/bin/python -m pip install --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/pip
	$(VENV)/bin/python -m pip install --editable '.[test]'
	touch $(VENV)/.installed $@
