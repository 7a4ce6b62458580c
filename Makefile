# The bare call runs what CI runs. `make check` is quicker: it uses the environment you are in.
.PHONY: ci check test lint docs docs-site test-all test-lowest

ci:
	.ci/run

check: lint test

test:
	python -m pytest

lint:
	ruff check
	ruff format --check
	mypy
	python tools/generate.py --check

docs:
	python tools/generate.py

# The documentation as a site; needs `pip install --group docs`. A warning is an error, though not
# with --quiet, which does not count them.
SITE ?= site
docs-site:
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --site-dir $(SITE)

# The suite on every Python that is installed, each in an environment of its own.
PYTHONS ?= python3.11 python3.12 python3.13
test-all:
	@for python in $(PYTHONS); do \
	  command -v $$python >/dev/null || { echo "$$python is not installed: skipped"; continue; }; \
	  PYTHON=$$python ./run-tests || exit 1; \
	done

# The suite with the lowest versions of packages that pyproject.toml allows.
test-lowest:
	@constraints=$$(mktemp) && python3 tools/lowest.py > $$constraints && \
	  PIP_CONSTRAINT=$$constraints ./run-tests; status=$$?; rm -f $$constraints; exit $$status
