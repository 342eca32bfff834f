# What contributors type; users type `kickoff`. `make help` (the default) lists the commands.
ENV    ?= development
PYTHON ?= python3

# Tests and steps start kickoff thousands of times: compiled once, not each time, even where a shell asks for that.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo plan deploy rollback start stop status logs test tools lint format clean scan doctor

BIN     := .venv/bin
KICKOFF := $(BIN)/kickoff

help: ## List the commands
	@echo 'Usage: make COMMAND [ENV=development]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# A stamp of the locks' hash inside .venv makes this take no time when nothing changed.
.PHONY: .venv
.venv:
	@$(PYTHON) src/kickoff/bootstrap.py .venv dev

demo: .venv ## Watch four releases of a small service, one of them bad, in two minutes and a folder of its own
	@$(KICKOFF) demo $(ARGS)

plan: .venv ## Show what a release of HEAD would change in ENV; change nothing
	@$(KICKOFF) plan --env $(ENV) $(ARGS)

deploy: .venv ## Ship the current commit through cd.yml to ENV on this machine
	@$(KICKOFF) deploy --env $(ENV) $(ARGS)

rollback: .venv ## Serve the last good release of ENV before again (ARGS='--to RELEASE' for another one)
	@$(KICKOFF) rollback --env $(ENV) $(ARGS)

status: .venv ## Show what serves ENV
	@$(KICKOFF) status --env $(ENV) $(ARGS)

logs: .venv ## Show the log of the service in ENV
	@$(KICKOFF) logs --env $(ENV) $(ARGS)

start: .venv ## Bring up what is recorded as live in ENV, after a stop or a reboot
	@$(KICKOFF) start --env $(ENV) $(ARGS)

stop: .venv ## Stop the service of ENV and its proxy
	@$(KICKOFF) stop --env $(ENV) $(ARGS)

# What fails beside others is asked once more, alone, and named: docs/decisions/rehearsed-failure.md says why.
test: .venv tools ## Run every test this machine can run (ARGS='-k name' to choose)
ifeq ($(ARGS),)
	@status=0; \
	$(BIN)/pytest --cache-clear -n $$((2 * $$(nproc))) --dist worksteal -m 'not nightly and not statistical' || status=$$?; \
	$(BIN)/pytest -n auto --dist worksteal -m 'statistical and not nightly' || status=$$?; \
	if [ $$status = 1 ]; then \
		echo 'once more, alone, what failed beside others:'; \
		$(BIN)/pytest -v --last-failed --last-failed-no-failures none --maxfail 1 -m 'not nightly' && status=0 \
			&& echo 'UNSTEADY: the tests named above failed beside others and passed alone'; \
	fi; \
	exit $$status
else
	@$(BIN)/pytest -n auto --dist worksteal $(ARGS)
endif

# Where they are required no alert goes untested: a failure ends the test.
tools: ## Get promtool, amtool, prometheus, alertmanager, pebble and etcd from the distribution's packages, for tests
	@scripts/setup/test_tools.sh || { [ "$$KICKOFF_TEST_TOOLS" != required ] && echo 'the tests of alerts, certificates and etcd will be skipped'; }

rehearse: .venv ## Print what became of every rehearsed fault (ARGS=gates or ARGS=kills for the other rehearsals)
	@PYTHONPATH=src $(BIN)/python -u -m tests.e2e.rehearse $(ARGS)

lint: .venv ## Check style, types, workflows and actions; change nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck scripts/setup/*.sh configs/*/*.sh
	$(BIN)/actionlint
	$(KICKOFF) lint
	$(BIN)/zizmor --offline --quiet --persona pedantic .github actions
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions actions/*/action.yml .github/actions/*/action.yml

format: .venv ## Format the code and fix what can be fixed by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# .venv stays: what is deployed may be running from it.
clean: ## Remove caches and the records of runs (.venv and what is deployed stay)
	rm -rf .kickoff .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -path ./.venv -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# In an environment of its own: checkov pins what the others need newer.
scan: ## Check Dockerfiles, workflows and all files for known misconfigurations and secrets
	@$(PYTHON) src/kickoff/bootstrap.py .kickoff/scan scan
	.kickoff/scan/bin/checkov --directory .

.PHONY: docs
docs: ## Build the site of the documentation in .kickoff/site, and fail on every link that leads nowhere
	@$(PYTHON) scripts/docs/site.py

doctor: ## Say what this machine has and lacks; with ENV=staging, whether that environment's host is fit
	@$(PYTHON) src/kickoff doctor $(if $(filter command line environment,$(origin ENV)),--env $(ENV)) $(ARGS)
