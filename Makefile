# Needs Python 3.11 to 3.13, git and make; everything else comes from the Python package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
TOOLS := .venv-tools
SITE := .venv-docs
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
MINUTES ?= 60
# Tests mostly wait for servers, so twice as many processes as there are cores.
PROCESSES ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')
# Which tests have to stay together, and which begin first, says tests/conftest.py.
PARALLEL := --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help

##@ Develop

.PHONY: help check unit lint mypy pyright style format schema lock clean

help: ## this list
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-20s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml examples/inventory/pyproject.toml examples/orders/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "kafka-inbox needs Python 3.11 to 3.13; name one with PYTHON=python3.12")'
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing what requirements.lock names (once)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e . -e examples/inventory -e examples/orders
	@touch $@

check: lint unit ## what to run after each change: lint, then unit

unit: $(STAMP) ## the tests that need no server
	$(BIN)/python -m pytest tests/unit $(PARALLEL)

# `make --jobs 2 lint` looks at types in two ways at a time.
lint: mypy pyright style ## format, lint, types, import contracts

mypy pyright: $(STAMP)
	$(BIN)/$@

style: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: $(STAMP) ## let ruff correct what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The formats with a registry, and conditions: the image has them, and the tests use them.
FORMATS := --extra avro --extra cel --extra json-schema --extra protobuf
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --quiet --no-header

schema: $(STAMP) ## write the JSON Schema of inbox.toml that the wheel has
	$(BIN)/python -c 'import json; from inbox.settings.json_schema import json_schema; print(json.dumps(json_schema(), indent=2))' > inbox/settings/names/inbox.schema.json

lock: ## write the requirements locks (needs uv)
	$(COMPILE) --extra dev $(FORMATS) --group dev --output-file requirements.lock pyproject.toml requirements.build.in
	$(COMPILE) $(FORMATS) --constraint requirements.lock --output-file requirements.run.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --output-file requirements.build.lock requirements.build.in
	$(COMPILE) --group pyproject.toml:tools --output-file requirements.tools.lock
	$(COMPILE) --group docs --constraint requirements.lock --output-file docs/site/requirements.lock pyproject.toml
	$(COMPILE) --output-file tests/benchmarks/peers.lock tests/benchmarks/peers.in

clean: ## remove the environments and what tools left
	rm -rf $(VENV) $(TOOLS) $(PEERS) $(SITE) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

##@ Test

.PHONY: test interop mirror chart-tools

# The chart's tools are built before: a build in the middle takes the cores from tests that measure time.
test: $(STAMP) chart-tools ## all tests, on a real Kafka and PostgreSQL
	$(BIN)/python -m pytest $(PARALLEL) --durations 20 --durations-min 1

interop: $(STAMP) ## Debezium publishes the outbox, beside the relay, and a table is mirrored
	$(BIN)/python -m pytest tests/interop -rP

mirror: $(STAMP) ## a table that Debezium captures is rebuilt, at full size
	MIRROR_OPERATIONS=50000 $(BIN)/python -m pytest tests/interop/test_mirror.py -rP

##@ Prove

.PHONY: platforms demo demo-outbox drill drill-rates drill-retries drill-holds pace faults tokens registry-away collector soak audit replay outbox outages scale fuzz mutants

# nox finds the Pythons on PATH; a version that is missing is reported as skipped. `nox --list` names the parts.
platforms: $(TOOLS)/.installed ## each Python, Kafka and PostgreSQL, one after the other
	$(TOOLS)/bin/nox --session python kafka postgres

demo: $(STAMP) ## four guarantees, one traffic, the same crashes
	$(BIN)/inbox demo

demo-outbox: $(STAMP) ## from one database to another, each part killed
	$(BIN)/inbox demo --outbox

# The page docs/how-to/incident.md, typed on a sink under load.
drill: $(STAMP) ## 5,000 dead letters of three causes, resolved
	DRILL_EVENTS=$${DRILL_EVENTS:-100000} DRILL_POISON=$${DRILL_POISON:-5000} DRILL_KEYS=$${DRILL_KEYS:-400} $(BIN)/python -m pytest tests/drill/test_drill.py -s

# The exit code is 1 if the causes take a second, or a retry has fewer than 1,000 keys a second.
drill-rates: $(STAMP) ## 5,000 dead letters: how long their causes and a retry take
	timeout 900 $(BIN)/python -m tests.drill.rates

drill-retries: $(STAMP) ## 10,000 events retried by the sink itself, under kills
	RETRIES_EVENTS=$${RETRIES_EVENTS:-10000} RETRIES_KILLS=$${RETRIES_KILLS:-10} $(BIN)/python -m pytest tests/drill/test_retries.py -s

drill-holds: $(STAMP) ## a sink under load, held and released 20 times
	HOLDS=$${HOLDS:-20} HOLDS_PER_SECOND=$${HOLDS_PER_SECOND:-500} HOLDS_SECONDS=2 HOLDS_FULL_SPEED_SECONDS=10 $(BIN)/python -m pytest tests/drill/test_holds.py -s

# PACE_SECONDS sets another time. The exit code is 1 if a speed differs by more than a twentieth.
pace: $(STAMP) ## the speed of four workers, and of a replay, over a minute
	timeout 600 $(BIN)/python -m tests.drill.pace

# FAULTS_SEED repeats a run.
faults: $(STAMP) ## 120,000 events under more than 100 faults
	$(BIN)/python -m pytest tests/faults/test_trial.py -s

# TOKEN_SECONDS is 60 unless set, MINUTES 30.
tokens: $(STAMP) ## logins by tokens of TOKEN_SECONDS (60) for MINUTES (30)
	TOKEN_SECONDS=$${TOKEN_SECONDS:-60} TOKEN_MINUTES=$${MINUTES:-30} $(BIN)/python -m pytest --timeout 7200 -rP \
		tests/integration/security/test_credentials.py -k renewed

registry-away: $(STAMP) ## the registry away for AWAY_SECONDS (600) under load
	REGISTRY_AWAY_SECONDS=$${AWAY_SECONDS:-600} $(BIN)/python -m pytest --timeout 3600 \
		tests/integration/sink/formats/test_registry_away.py -k under_load

# Builds the collector once, in some minutes; from then on `make test` uses it too.
collector: $(STAMP) ## spans and metrics sent to a real OpenTelemetry collector (needs Go)
	INBOX_TEST_BUILD_COLLECTOR=1 $(BIN)/python -m pytest tests/integration/process/test_collector.py

# MINUTES is 60 unless set.
soak: $(STAMP) ## faults for MINUTES (60), and 1,000 SIGKILLs
	FAULTS_MINUTES=$${MINUTES:-60} $(BIN)/python -m pytest tests/faults/test_trial.py -s
	SOAK_KILLS=1000 $(BIN)/python -m pytest tests/e2e/test_sigkill.py --timeout 3600

# AUDIT_EVENTS sets another number.
audit: $(STAMP) ## a million events audited: speed and memory
	AUDIT_EVENTS=$${AUDIT_EVENTS:-1000000} $(BIN)/python -m pytest tests/e2e/test_audit_by_hand.py -rP

# In both modes, over two workers that are killed five times.
replay: $(STAMP) ## replay a million events under SIGKILLs
	REPLAY_EVENTS=1250000 REPLAY_KILLS=5 $(BIN)/python -m pytest tests/e2e/test_replay.py -s

# In both modes of the relay.
outbox: $(STAMP) ## 200,000 orders under kills and restarts
	OUTBOX_ORDERS=$${OUTBOX_ORDERS:-200000} OUTBOX_KILLS=$${OUTBOX_KILLS:-50} OUTBOX_RESTARTS=$${OUTBOX_RESTARTS:-5} $(BIN)/python -m pytest tests/e2e/test_outbox.py -s --timeout 3600

# 600 unless set.
outages: $(STAMP) ## each server away for OUTAGE_SECONDS (600)
	OUTAGE_SECONDS=$${OUTAGE_SECONDS:-600} $(BIN)/python -m pytest tests/integration/outages -k for_minutes -rP

# SCALE_SEED repeats a run.
scale: $(STAMP) ## workers join, leave and die for MINUTES (5)
	$(BIN)/python -m tests.scale

# MINUTES sets another time, FUZZ_ROUND repeats a round.
fuzz: $(STAMP) ## events that nobody should send, for an hour
	$(BIN)/python -W ignore -m tests.fuzz --minutes $(MINUTES) $(if $(FUZZ_ROUND),--from-round $(FUZZ_ROUND))

mutants: $(STAMP) ## break the delivery path; a test sees each
	$(BIN)/python -m tests.mutants

##@ Measure

.PHONY: bench bench-latency bench-growth bench-parts bench-rows bench-crcs bench-memory bench-fairness bench-modes bench-relay bench-links

# What this sink is compared with, and the plot, need packages that it does not.
$(PEERS)/.installed: tests/benchmarks/peers.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r tests/benchmarks/peers.lock
	@touch $@

bench: $(STAMP) $(PEERS)/.installed ## this sink beside its peers and its limits
	PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/python -m tests.benchmarks.compare --output docs/performance/comparison.json
	$(PEERS)/bin/python tests/benchmarks/plot.py docs/performance/comparison.json docs/performance/comparison.svg
	$(BIN)/python -m tests.benchmarks.throughput

bench-latency: $(STAMP) ## from a producer to a visible row
	$(BIN)/python -m tests.benchmarks.latency

# GROWTH="--claims 0 200000 ..." takes less time.
bench-growth: $(STAMP) ## what an event costs over 20 million claims
	$(BIN)/python -m tests.benchmarks.growth --output docs/performance/growth.json $(GROWTH)

bench-parts: $(STAMP) ## where an event's microseconds go
	$(BIN)/python -m tests.benchmarks.parts

bench-rows: $(STAMP) ## what decoded rows cost beside JSON that PostgreSQL decodes
	$(BIN)/python -m tests.benchmarks.rows

bench-crcs: $(STAMP) ## what check.crcs costs librdkafka
	$(BIN)/python -m tests.benchmarks.crcs

bench-modes: $(STAMP) ## what the modes of a table cost beside upsert
	$(BIN)/python -m tests.benchmarks.modes

bench-links: $(STAMP) ## the rate of a worker at a distance from its database
	$(BIN)/python -m tests.benchmarks.links

bench-memory: $(STAMP) ## memory, held to what the docs promise
	$(BIN)/python -m tests.benchmarks.memory

bench-fairness: $(STAMP) ## how long quiet partitions wait for a busy one
	$(BIN)/python -m tests.benchmarks.fairness

# Over OUTBOX_ROWS rows.
bench-relay: $(STAMP) ## the relay: rate, latency, CPU, memory
	$(BIN)/python -m tests.benchmarks.relay --rows $${OUTBOX_ROWS:-300000}

##@ Chart (needs Go)

.PHONY: chart chart-server chart-docs chart-release

chart-tools: $(STAMP)
	@$(BIN)/python -m tests.chart.tools

chart: $(STAMP) ## templates, schemas, refusals, alerts
	$(BIN)/python -m pytest tests/chart tests/unit/test_chart_names.py

# Builds the server once, in some ten minutes.
chart-server: $(STAMP) ## every object taken by a real kube-apiserver
	$(BIN)/python -m tests.chart.server

chart-docs: $(STAMP) ## write the chart's page from its values
	$(BIN)/python -m tests.chart.page

# Says which variables it needs; OCI=oci://registry/path pushes it as well.
chart-release: $(STAMP) ## dist/inbox-*.tgz with the addresses of its releaser
	$(BIN)/python -m tests.chart.release

##@ Documentation

.PHONY: docs accessibility

$(SITE)/.installed: docs/site/requirements.lock
	@test -x $(SITE)/bin/python || $(PYTHON) -m venv $(SITE)
	@$(SITE)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r docs/site/requirements.lock
	@touch $@

docs: $(SITE)/.installed ## the site, in build/site; a warning fails it
	PYTHONPATH=. $(SITE)/bin/sphinx-build -c docs/site -b html --fail-on-warning --keep-going --quiet . build/site
	@echo "open build/site/index.html"

accessibility: docs $(STAMP) ## axe and the width of a phone; needs Chromium and npm
	$(BIN)/python -m pytest tests/site -rs

##@ Release

.PHONY: wheel dist sdist-test audit-dependencies sbom attestation

wheel: $(STAMP) ## build dist/*.whl
	$(BIN)/python -m hatchling build -t wheel

dist: $(STAMP) $(TOOLS)/.installed ## build dist/*.tar.gz and *.whl, and check them
	rm -f dist/*.whl dist/*.tar.gz
	$(BIN)/python -m hatchling build -t sdist -t wheel
	$(TOOLS)/bin/twine check --strict dist/*.whl dist/*.tar.gz

sdist-test: dist ## unpack the sdist, and run its unit suite there
	$(TOOLS)/bin/nox --session sdist

# In an environment of their own: what they need is nothing to the software that they look at.
$(TOOLS)/.installed: requirements.tools.lock
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements.tools.lock
	@touch $@

# Fails with one line where PyPI's advisories cannot be had.
audit-dependencies: $(TOOLS)/.installed ## known vulnerabilities in what is installed
	@$(TOOLS)/bin/python -m tests.support.advisories \
	$(TOOLS)/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.run.lock

sbom: $(TOOLS)/.installed ## dist/sbom.cdx.json, in CycloneDX
	@mkdir -p dist
	$(TOOLS)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json requirements.run.lock

# Of what `make dist` built, by PEP 740; signs as the CI system's identity, or asks for one in a browser.
attestation: $(TOOLS)/.installed ## dist/*.publish.attestation
	$(TOOLS)/bin/pypi-attestations sign dist/*.whl dist/*.tar.gz
