# Kvitto's tasks. `make run` needs git, make and Python 3.11 with its venv module; nothing else has to be set up.
#
#   make run [PORT=8080] [DATA=./data] [ARGS='--log ...']   the server with its simulator, a demo account and curl lines
#   make test [TESTS=tests] [ARGS='-k r26']                 the whole suite, with PostgreSQL, node-smpp, Kannel, Go, PHP, Java
#   make screenshots [ARGS='overview batch']                pictures of the dashboard for docs/images
#   make lint | format | docs | lock | clean
#   make bench | bench-receipts | bench-callbacks | bench-fairness | profile | backlog | replay      how fast, how large
#   make storm | long | fuzz [SECONDS=600]                  what is too long for the suite

PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 8080
DATA   ?= ./data
TESTS  ?= tests
ARGS   ?=
JOBS   ?= 2
SECONDS ?= 600
BACKLOG ?= 1000000

BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK   := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help run test lint format bench bench-receipts bench-callbacks bench-fairness profile storm backlog replay long fuzz overview screenshots docs lock postgres strace faketime chromium peers node kannel \
        receivers clean

help:
	@sed -n 's/^#   \(make .*\)/\1/p' Makefile

# ---- the virtual environment: one stamp each for "runs" and "develops", so that a second make is quick ----

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo 'Python 3.11 or newer is needed: apt-get install python3 (or PYTHON=/path/to/python3.11 make ...)' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo 'The venv module is needed: apt-get install python3-venv' >&2; exit 1; }
	@test -x $(BIN)/python || { echo 'Making $(VENV) ...'; $(PYTHON) -m venv $(VENV); }
	@touch $@

$(VENV)/.runs: $(VENV)/.made requirements.txt requirements-build.txt pyproject.toml
	@echo 'Installing the locked dependencies into $(VENV) ...'
	@$(PIP) --require-hashes -r requirements.txt -r requirements-build.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.develops: $(VENV)/.runs requirements-dev.txt
	@echo 'Installing the locked tools of development into $(VENV) ...'
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

# ---- use ----

run: $(VENV)/.runs
	@exec $(BIN)/kvitto serve --demo --data '$(DATA)' --port '$(PORT)' $(ARGS)

# ---- development ----

# PostgreSQL's server binaries: installed where we may, else named in one line. KVITTO_TEST_SKIP_POSTGRES=1 does without.
postgres:
	@if [ "$$KVITTO_TEST_SKIP_POSTGRES" = 1 ]; then exit 0; fi; \
	for bin in "$$(pg_config --bindir 2>/dev/null)" /usr/lib/postgresql/*/bin; do \
	  [ -x "$$bin/initdb" ] && [ -x "$$bin/postgres" ] && exit 0; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'Installing PostgreSQL 15 for the tests ...'; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -y -q postgresql-15 </dev/null >/dev/null 2>&1 \
	    || { apt-get update -q </dev/null >/dev/null 2>&1; apt-get install -y -q postgresql-15 </dev/null; }; \
	else \
	  echo 'PostgreSQL 15 is needed for the tests: apt-get install postgresql-15 (KVITTO_TEST_SKIP_POSTGRES=1 does without)' >&2; \
	  exit 1; \
	fi

# strace shows that the fsync comes before the answer (P1, P2).
strace:
	@command -v strace >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'Installing strace for the tests ...'; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -y -q strace </dev/null >/dev/null 2>&1 \
	    || { apt-get update -q </dev/null >/dev/null 2>&1; apt-get install -y -q strace </dev/null; }; \
	else \
	  echo 'strace is needed for the tests: apt-get install strace' >&2; exit 1; \
	fi

# libfaketime lets the wall clock of a running server jump (P26).
faketime:
	@ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'Installing libfaketime for the tests ...'; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -y -q --no-install-recommends libfaketime </dev/null >/dev/null 2>&1 \
	    || { apt-get update -q </dev/null >/dev/null 2>&1; \
	         apt-get install -y -q --no-install-recommends libfaketime </dev/null; }; \
	else \
	  echo 'libfaketime is needed for the tests: apt-get install libfaketime' >&2; exit 1; \
	fi

# The dashboard is walked through and photographed in it.
chromium:
	@command -v chromium >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'Installing Chromium for the tests ...'; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core </dev/null >/dev/null 2>&1 \
	    || { apt-get update -q </dev/null >/dev/null 2>&1; \
	         apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core </dev/null; }; \
	else \
	  echo 'Chromium is needed for the tests: apt-get install chromium' >&2; exit 1; \
	fi

# SMPP software that we did not write, for the tests of interoperability: node-smpp and Kannel.
peers: tests/peers/node_modules/.package-lock.json kannel

node:
	@command -v node >/dev/null && command -v npm >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'Installing Node.js and npm for the tests ...'; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -y -q --no-install-recommends nodejs npm </dev/null >/dev/null 2>&1 \
	    || { apt-get update -q </dev/null >/dev/null 2>&1; \
	         apt-get install -y -q --no-install-recommends nodejs npm </dev/null; }; \
	else \
	  echo 'Node.js and npm are needed for the tests: apt-get install nodejs npm' >&2; exit 1; \
	fi

# npm keeps a copy of the lock file in what it installs: that is the stamp. No package may run anything of its own.
tests/peers/node_modules/.package-lock.json: tests/peers/package.json tests/peers/package-lock.json | node
	@echo 'Installing node-smpp for the tests ...'
	@cd tests/peers && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null && touch node_modules/.package-lock.json

# Kannel's own service is not started (runlevel 1): the tests start its boxes themselves, on ports of their own.
kannel:
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; \
	command -v bearerbox >/dev/null && command -v smsbox >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'Installing Kannel for the tests ...'; \
	  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; \
	  apt-get install -y -q --no-install-recommends kannel </dev/null >/dev/null 2>&1 \
	    || { apt-get update -q </dev/null >/dev/null 2>&1; \
	         apt-get install -y -q --no-install-recommends kannel </dev/null; }; \
	else \
	  echo 'Kannel is needed for the tests: apt-get install kannel' >&2; exit 1; \
	fi

# The languages of examples/receivers: each example is run against real callbacks.
receivers: node
	@command -v go >/dev/null && command -v php >/dev/null && command -v javac >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'Installing Go, PHP and Java for the tests ...'; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -y -q --no-install-recommends golang-go php-cli default-jdk-headless </dev/null >/dev/null 2>&1 \
	    || { apt-get update -q </dev/null >/dev/null 2>&1; \
	         apt-get install -y -q --no-install-recommends golang-go php-cli default-jdk-headless </dev/null; }; \
	else \
	  echo 'Go, PHP and Java are needed for the tests: apt-get install golang-go php-cli default-jdk-headless' >&2; exit 1; \
	fi

test: $(VENV)/.develops postgres strace faketime chromium peers receivers
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS) $(ARGS)

lint: $(VENV)/.develops
	@failed=0; \
	for check in 'ruff format --check .' 'ruff check .' mypy lint-imports; do \
	  echo "== $$check"; $(BIN)/$$check || failed=1; \
	done; exit $$failed

format: $(VENV)/.develops
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

# The project's own bench: server, simulator, load and sink as separate processes; one table and one JSON line.
bench: $(VENV)/.runs
	$(BIN)/python -m bench.run $(ARGS)

# The receipt storm (R60): 100 000 old receipts over one bind, with few and with many messages in the store.
bench-receipts: $(VENV)/.develops
	$(BIN)/python -m bench.receipts $(ARGS)

# What the callback sender costs by itself, and what endpoints that hang cost the others, in it and in the whole server.
bench-callbacks: $(VENV)/.develops
	$(BIN)/python -m bench.callbacks $(ARGS)
	$(BIN)/python -m bench.run --scenario well,hang,most

# What one account at ten times its load costs the others (P29).
bench-fairness: $(VENV)/.develops
	$(BIN)/python -m bench.fairness $(ARGS)

# Where the microseconds go: the bench with py-spy on the server.
profile: $(VENV)/.develops
	$(BIN)/python -m bench.profile --output .profile $(ARGS)

# The long storm: kill -9 under load, 200 times, and every instant of R49 ten times over, on both databases (the suite
# does 20 and one).
storm: $(VENV)/.develops postgres
	KVITTO_TEST_STORM_KILLS=200 KVITTO_TEST_POINT_ROUNDS=10 \
	  $(BIN)/python -m pytest -m storm -s --timeout 7200 $(TESTS) $(ARGS)

# A hundred thousand callbacks replayed, the server killed in the middle, on both databases (P14; the suite: 3 000).
replay: $(VENV)/.develops postgres
	KVITTO_TEST_REPLAY=100000 $(BIN)/python -m pytest -s --timeout 3600 tests/acceptance/test_replay.py $(ARGS)

# Start, work and stop with a million recipients in the store, on both databases (the suite does it with 30 000). Ten
# million (BACKLOG=10000000) take four minutes and 5 GB of disk with SQLite (ARGS='-k sqlite').
backlog: $(VENV)/.develops postgres
	KVITTO_TEST_BACKLOG=$(BACKLOG) $(BIN)/python -m pytest -s --timeout 7200 tests/acceptance/test_backlog.py $(ARGS)

# The fuzzers, for SECONDS; what breaks something stays in tests/fuzz/corpus.
fuzz: $(VENV)/.develops
	$(BIN)/python -m tests.fuzz.run --seconds $(SECONDS) $(ARGS)

# The status machine in a million random orders of events (P4; the suite does 20 000).
long: $(VENV)/.develops postgres
	KVITTO_TEST_STATUS_ORDERS=1000000 $(BIN)/python -m pytest --timeout 7200 tests/property/test_status_machine.py $(ARGS)

# What the overview reads with ten million messages, against ten thousand (the suite takes a hundred thousand).
overview: $(VENV)/.develops
	KVITTO_TEST_OVERVIEW_MESSAGES=10000000 $(BIN)/python -m pytest -n 0 -s --timeout 7200 tests/integration/test_dashboard_cost.py $(ARGS)

# Pictures of every page, light and dark, wide and narrow: look at each before you commit it.
screenshots: $(VENV)/.develops chromium
	$(BIN)/python -m tests.support.screenshots $(ARGS)

# The pages that are made from the code.
docs: $(VENV)/.runs
	$(BIN)/python -c 'from kvitto.settings import document; print(document(), end="")' > docs/configuration.md
	$(BIN)/python -c 'from kvitto.simulator.page import document; print(document(), end="")' > docs/simulator.md
	$(BIN)/python -c 'from kvitto.telemetry import metrics_page; print(metrics_page(), end="")' > docs/metrics.md
	$(BIN)/python -c 'import pathlib; from kvitto.callbacks.page import document; p = pathlib.Path("docs/callbacks.md"); p.write_text(document(p.read_text()))'

# Newer versions within the bounds of pyproject.toml. Commit what it writes.
lock: $(VENV)/.made
	@test -x $(BIN)/uv || $(PIP) uv
	$(LOCK) pyproject.toml -o requirements.txt
	echo 'hatchling>=1.27' | $(LOCK) - -c requirements.txt -o requirements-build.txt
	$(LOCK) --extra dev -c requirements.txt -c requirements-build.txt pyproject.toml -o requirements-dev.txt

clean:
	rm -rf $(VENV) tests/peers/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .profile build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
