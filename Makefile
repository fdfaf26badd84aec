# The commands of this project. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help run test bench fmt

# make test STEPS="format clients" runs only these steps.
STEPS ?=

help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and start the demo: a small estate in a temporary store, and what to paste to try it
	@tools/run

test: ## Check everything: format, clippy, tests, clients, the OpenAPI document (STEPS="..." runs only some)
	@tools/test $(STEPS)

bench: ## Measure against bare programs that do only the unavoidable part
	@tools/bench

fmt: ## Format the code
	cargo fmt --all
