# Needs Python 3.11 to 3.13, git and make; everything else comes from the Python package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
TOOLS := .venv-tools
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
MINUTES ?= 60

.PHONY: help demo demo-outbox test unit lint format faults soak mutants outages chart chart-server chart-docs interop bench bench-latency lock wheel clean audit
.PHONY: scale audit-dependencies sbom
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 13

$(STAMP): requirements.lock pyproject.toml examples/inventory/pyproject.toml examples/orders/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "kafka-inbox needs Python 3.11 to 3.13; name one with PYTHON=python3.12")'
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing what requirements.lock names (once)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e . -e examples/inventory -e examples/orders
	@touch $@

demo: $(STAMP) ## four delivery guarantees, one traffic, the same crashes: the whole story
	$(BIN)/inbox demo

demo-outbox: $(STAMP) ## from one database to another, with kills of order service, relay and sink
	$(BIN)/inbox demo --outbox

test: $(STAMP) ## all tests, on a real Kafka and a real PostgreSQL
	$(BIN)/python -m pytest

unit: $(STAMP) ## the tests that need no server
	$(BIN)/python -m pytest tests/unit

lint: $(STAMP) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(STAMP) ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

faults: $(STAMP) ## 120,000 events under more than 100 faults; FAULTS_SEED repeats a run
	$(BIN)/python -m pytest tests/faults/test_trial.py -s

soak: $(STAMP) ## the same for MINUTES (60 unless set), and 1,000 SIGKILLs at failpoints
	FAULTS_MINUTES=$${MINUTES:-60} $(BIN)/python -m pytest tests/faults/test_trial.py -s
	SOAK_KILLS=1000 $(BIN)/python -m pytest tests/e2e/test_sigkill.py --timeout 3600

audit: $(STAMP) ## AUDIT_EVENTS (a million unless set) audited: speed, memory, and claims deleted and made up by hand
	AUDIT_EVENTS=$${AUDIT_EVENTS:-1000000} $(BIN)/python -m pytest tests/e2e/test_audit_by_hand.py -rP
.PHONY: replay
replay: $(STAMP) ## a million events replayed over two workers that are killed five times, in both modes
	REPLAY_EVENTS=1250000 REPLAY_KILLS=5 $(BIN)/python -m pytest tests/e2e/test_replay.py -s

scale: $(STAMP) ## 1, 2 and 4 workers join, leave and are killed under load for MINUTES (5 unless set); SCALE_SEED repeats a run
	$(BIN)/python -m tests.scale

.PHONY: fuzz
fuzz: $(STAMP) ## events that nobody should send, for MINUTES (60 unless set), against a slow model; FUZZ_ROUND repeats a round
	$(BIN)/python -W ignore -m tests.fuzz --minutes $(MINUTES) $(if $(FUZZ_ROUND),--from-round $(FUZZ_ROUND))

mutants: $(STAMP) ## breaks the delivery path in some 90 ways, each of which a test has to catch
	$(BIN)/python -m tests.mutants

.PHONY: outbox bench-relay
outbox: $(STAMP) ## 200,000 orders through the outbox, 50 SIGKILLs of relays and 5 restarts of Kafka, in both modes of the relay
	OUTBOX_ORDERS=$${OUTBOX_ORDERS:-200000} OUTBOX_KILLS=$${OUTBOX_KILLS:-50} OUTBOX_RESTARTS=$${OUTBOX_RESTARTS:-5} $(BIN)/python -m pytest tests/e2e/test_outbox.py -s --timeout 3600

bench-relay: $(STAMP) ## the relay: from COMMIT to Kafka at 500 a second; rate, CPU and memory over OUTBOX_ROWS (300,000 unless set); cost of publishing
	$(BIN)/python -m tests.benchmarks.relay --rows $${OUTBOX_ROWS:-300000}

outages: $(STAMP) ## PostgreSQL and Kafka away for OUTAGE_SECONDS each (600 unless set)
	OUTAGE_SECONDS=$${OUTAGE_SECONDS:-600} $(BIN)/python -m pytest tests/integration/outages -k for_minutes -rP

interop: $(STAMP) ## Debezium's connector on Kafka Connect publishes the outbox, killed twice, and beside the relay
	$(BIN)/python -m pytest tests/interop -rP

chart: $(STAMP) ## the Helm chart: both Helms, templates, schemas, refusals, alerts (needs Go; builds its tools once, in some minutes)
	$(BIN)/python -m pytest tests/chart tests/unit/test_chart_names.py

chart-server: $(STAMP) ## every object of the chart taken by a real kube-apiserver (needs Go; builds it once, in some ten minutes)
	$(BIN)/python -m tests.chart.server

chart-docs: $(STAMP) ## write the chart's page anew from its values (needs Go)
	$(BIN)/python -m tests.chart.page

# What this sink is compared with, and the plot, need packages that it does not.
$(PEERS)/.installed: tests/benchmarks/peers.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r tests/benchmarks/peers.lock
	@touch $@

bench: $(STAMP) $(PEERS)/.installed ## this sink beside its peers and the limits of this machine; then its memory, and what poison costs
	PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/python -m tests.benchmarks.compare --output docs/performance/comparison.json
	$(PEERS)/bin/python tests/benchmarks/plot.py docs/performance/comparison.json docs/performance/comparison.svg
	$(BIN)/python -m tests.benchmarks.throughput

bench-latency: $(STAMP) ## from a producer to a visible row: an idle sink, 1,000 and 20,000 events/s; and the floor
	$(BIN)/python -m tests.benchmarks.latency

.PHONY: bench-growth
bench-growth: $(STAMP) ## what an event costs over 5 and 20 million claims, while pruning, over parked events and 500 partitions (GROWTH="--claims 0 200000 ..." for less)
	$(BIN)/python -m tests.benchmarks.growth --output docs/performance/growth.json $(GROWTH)

.PHONY: bench-parts
bench-parts: $(STAMP) ## where the microseconds of an event go, in the client and in the server
	$(BIN)/python -m tests.benchmarks.parts

.PHONY: bench-crcs
bench-crcs: $(STAMP) ## what check.crcs costs librdkafka, by turns with and without it
	$(BIN)/python -m tests.benchmarks.crcs

.PHONY: bench-memory bench-fairness
bench-memory: $(STAMP) ## a worker's memory: large values, headers, parked keys, and what decompresses to 300 MB; fails above what the docs promise
	$(BIN)/python -m tests.benchmarks.memory

bench-fairness: $(STAMP) ## how long events of 12 quiet partitions wait beside one with 400,000 to go
	$(BIN)/python -m tests.benchmarks.fairness

COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --quiet --no-header

lock: ## write every requirements lock anew from pyproject.toml (needs uv)
	$(COMPILE) --extra dev --group dev --output-file requirements.lock pyproject.toml requirements.build.in
	$(COMPILE) --constraint requirements.lock --output-file requirements.run.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --output-file requirements.build.lock requirements.build.in
	$(COMPILE) --output-file tests/benchmarks/peers.lock tests/benchmarks/peers.in

# In an environment of their own: what they need is nothing to the software that they look at.
$(TOOLS)/.installed: Makefile
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip --quiet --disable-pip-version-check install cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@touch $@

audit-dependencies: $(TOOLS)/.installed ## known vulnerabilities in what an installation needs (asks PyPI's advisories; fails where they cannot be had)
	$(TOOLS)/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.run.lock

sbom: $(TOOLS)/.installed ## dist/sbom.cdx.json: what an installation consists of, in CycloneDX
	@mkdir -p dist
	$(TOOLS)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json requirements.run.lock

wheel: $(STAMP) ## build dist/*.whl
	$(BIN)/python -m hatchling build -t wheel

clean: ## remove the virtual environment and what tools left
	rm -rf $(VENV) $(TOOLS) $(PEERS) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
