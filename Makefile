# `make demo` and `make test` need nothing but Python and make: what they use goes into .venv.

PYTHON ?= python3
BACKEND ?= numpyro

# The extras that each set of packages adds to the core; one stamp in .venv records each install.
EXTRAS_core =
EXTRAS_pyro = [pyro]
EXTRAS_test = [pyro,test]
EXTRAS_lint = [pyro,test,dev]

.PHONY: demo test lint clean

demo: .venv/installed-$(if $(filter pyro,$(BACKEND)),pyro,core)
	.venv/bin/ppgen demo --backend $(BACKEND)

test: .venv/installed-test
	.venv/bin/pytest -n 2 --dist loadgroup

lint: .venv/installed-lint
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed-%: pyproject.toml constraints.txt | .venv/bin/python
	.venv/bin/python -m pip install --quiet -c constraints.txt -e '.$(EXTRAS_$*)'
	touch $@
