# countersign: everything that is built, tested or checked here. CI runs .ci/run, which runs `make check`.

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory --no-builtin-rules

# Pure Go, and OpenPGP in Go too: docs/decisions/0004-build-without-cgo.md. The tag has to reach every go command.
export CGO_ENABLED := 0
export GOFLAGS     := -tags=containers_image_openpgp $(GOFLAGS)

# Linters are built once for each state of scripts/tools: golangci-lint alone takes two minutes on two cores.
TOOLS    := $(CURDIR)/.cache/lint/$(shell cat scripts/tools/go.mod scripts/tools/go.sum | sha256sum | cut -c1-16)
LINT     := $(TOOLS)/golangci-lint
MODULES  := . integration/tools scripts/tools scripts/mutation
# The packages that share state between goroutines, where the race detector pays for what it costs.
RACE     := ./policy/... ./nri/... ./plugin/...
FUZZTIME ?= 30s
STEP     := @scripts/step.sh

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: ## boot a throwaway node and show one image admitted and refused (root)
	@scripts/modules.sh demo
	go run ./integration/demo

build: ## put countersign and countersign-verifier into bin/
	go build -trimpath -o bin/ ./plugin/...

test: ## run every test; those of the node say so when they skip for want of root
	@scripts/modules.sh test
	go test -timeout 30m ./...

check: tidy-check fmt-check lint unit race node ## what CI runs: modules, format, lint, all tests, quickest first

unit: ## run the tests that need no node
	@packages=$$(go list ./... | grep -v /integration); scripts/step.sh unit go test $$packages

race: ## run the concurrent packages' tests under the race detector (needs a C compiler)
	$(STEP) compiler scripts/compiler.sh
	$(STEP) race env CGO_ENABLED=1 go test -race $(RACE)

node: ## run the tests on a real node; nothing is skipped (root)
	$(STEP) node env CI=true go test -count=1 -timeout 30m ./integration/...

lint: $(LINT) ## lint
	$(STEP) lint $(LINT) run ./...

fmt: $(LINT) ## format
	$(LINT) fmt

fmt-check: $(LINT) ## show what fmt would change, and fail if anything
	$(STEP) format $(LINT) fmt --diff

tidy: ## tidy the modules
	for module in $(MODULES); do (cd $$module && go mod tidy); done

tidy-check: ## show what tidy would change, and fail if anything
	$(STEP) tidy bash -euc 'for module in $(MODULES); do (cd $$module && go mod tidy -diff); done'

bench: $(LINT) ## run the benchmarks, then measure the bounds on a real node (root)
	PATH=$(TOOLS):$$PATH scripts/bench.sh

mutants: ## change the code in PACKAGES place by place, and show what no test notices (hours)
	scripts/mutants.sh

fuzz: ## run each fuzz target for FUZZTIME (30s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

tools: $(LINT) ## build the linters and benchstat
	@echo $(TOOLS)

clean: ## remove what was built here
	rm -rf bin .cache

$(LINT):
	@echo '== building the linters: some two minutes, once'
	cd scripts/tools && go build -trimpath -o $(TOOLS)/ tool

# A check goes from the quick to the slow; side by side the steps would only mix their output.
.NOTPARALLEL:
.PHONY: help demo build test check unit race node lint fmt fmt-check tidy tidy-check bench mutants fuzz tools clean
