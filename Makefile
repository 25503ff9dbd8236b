# Two commands do everything: `make demo` shows it, `make test` proves it.

ARGS ?=
CARGO ?= cargo
# Tests that need Docker fail where there is none; they are never skipped.
export ROLLBOT_REQUIRE_DOCKER = 1

.PHONY: help build demo test crash bench check fmt clippy docs clean-demo

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Built with the features of the whole workspace, so that `make test` finds the dependencies compiled.
build:
	@tests/prepare/build.sh
	$(CARGO) build --locked --workspace --bin rollbot

demo: build ## build everything and open the chat; ARGS=--unattended plays it by itself
	@"$${CARGO_TARGET_DIR:-target}/debug/rollbot" demo $(ARGS)

clean-demo: build ## remove what the demo made
	@"$${CARGO_TARGET_DIR:-target}/debug/rollbot" demo --clean $(ARGS)

test: ## install what the tests need, start the servers they need, run everything
	@tests/prepare/build.sh
	@tests/prepare/servers.sh
	$(CARGO) test --locked --workspace

crash: ## kill the bot around every commit of a whole run, and compare the ends
	@tests/prepare/build.sh
	@tests/prepare/servers.sh
	ROLLBOT_CRASH_POINTS=all $(CARGO) test --locked --workspace --test crash -- --nocapture

bench: ## run the benchmarks
	@tests/prepare/build.sh
	$(CARGO) bench --locked --workspace --bench '*'

check: fmt clippy docs ## formatting, clippy and docs, warnings denied

fmt:
	$(CARGO) fmt --all --check

clippy:
	@tests/prepare/build.sh
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
