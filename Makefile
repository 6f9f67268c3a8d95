# countersign: builds, tests and checks. CI runs .ci/run, which runs `make check`.

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory --no-builtin-rules

# No cgo, and OpenPGP in Go: docs/decisions/0004-build-without-cgo.md. Every go command needs the tag.
export CGO_ENABLED := 0
export GOFLAGS     := -tags=containers_image_openpgp $(GOFLAGS)

# The linters are built once per version of scripts/tools, because golangci-lint takes two minutes on two cores.
TOOLS    := $(CURDIR)/.cache/lint/$(shell cat scripts/tools/go.mod scripts/tools/go.sum | sha256sum | cut -c1-16)
LINT     := $(TOOLS)/golangci-lint
MODULES  := . plugin/agent integration/tools integration/tools/kubernetes integration/tools/containerd22 \
	integration/tools/containerd23 integration/tools/kind integration/tools/cluster integration/tools/prometheus \
	integration/tools/sigstore integration/tools/openshift integration/tools/dashboard scripts/tools scripts/packages scripts/mutation scripts/chart
# The race detector is slow, so it runs only for packages that share state between goroutines.
RACE     := ./policy/... ./nri/... ./plugin/...
FUZZTIME ?= 30s
DURATION ?= 3m
STEP     := @scripts/step.sh

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: ## boot a throwaway node, and show an image that is admitted and then refused (root)
	@scripts/modules.sh demo
	go run ./integration/demo

demo-kubernetes: ## boot a cluster of one node, and show policies by namespace with a real kubelet (root)
	@scripts/modules.sh demo-kubernetes
	CI=true go test -count=1 -timeout 60m -v -run TestASessionWithPoliciesByNamespace ./integration/kubernetes

build: ## build bin/countersign, bin/countersign-verifier and bin/countersign-agent
	go build -trimpath -o bin/ ./plugin/...
	go -C plugin/agent build -trimpath -o $(CURDIR)/bin/ ./countersign-agent

pages: build ## write man pages and completions for shells into bin/man and bin/completions
	bin/countersign man bin/man
	mkdir -p bin/completions
	for shell in bash zsh fish; do bin/countersign completion $$shell >bin/completions/countersign.$$shell; done

test: ## run every test; without root, node tests skip and report it
	@scripts/modules.sh test
	go test -timeout 30m ./...
	go -C plugin/agent test ./...

check: tidy-check generate-check fmt-check lint unit race node ## run all CI checks: modules, format, lint, all tests; the fastest first

unit: ## run the tests that need no node
	@packages=$$(go list ./... | grep -v /integration); scripts/step.sh unit go test $$packages
	$(STEP) agent go -C plugin/agent test ./...
	$(STEP) chart go -C scripts/chart test ./...
	$(STEP) dashboard go -C integration/tools/dashboard test ./...

race: ## run the tests of concurrent packages with the race detector (needs a C compiler)
	$(STEP) compiler scripts/compiler.sh
	$(STEP) race env CGO_ENABLED=1 go test -race -timeout 30m $(RACE)

node: ## run the tests on real nodes of each release of containerd; none may skip (root)
	$(STEP) node scripts/node.sh

lint: $(LINT) ## lint
	$(STEP) lint $(LINT) run ./...
	$(STEP) lint-agent env -C plugin/agent $(LINT) run ./...
	$(STEP) lint-chart env -C scripts/chart $(LINT) run ./...
	$(STEP) lint-dashboard env -C integration/tools/dashboard $(LINT) run ./...

fmt: $(LINT) ## format
	$(LINT) fmt

chart: ## test the Helm chart with Helm, and write the kustomize base that follows from it
	COUNTERSIGN_UPDATE=1 go -C scripts/chart test -count=1 ./...

reference: ## write the generated parts of docs/reference.md
	COUNTERSIGN_UPDATE=1 go test -count=1 -run TestTheReferenceIsGenerated ./plugin/countersign

dashboard: ## write docs/dashboard.svg, the dashboard of a node that works for five minutes (root, ten minutes)
	COUNTERSIGN_UPDATE_DOCS=1 CI=true go test -count=1 -timeout 30m -run TestQueries ./integration/monitoring

fmt-check: $(LINT) ## fail if fmt would change anything, and show the changes
	$(STEP) format $(LINT) fmt --diff

tidy: ## run go mod tidy in every module
	for module in $(MODULES); do (cd $$module && go mod tidy); done

tidy-check: ## fail if tidy would change anything, and show the changes
	$(STEP) tidy bash -euc 'for module in $(MODULES); do (cd $$module && go mod tidy -diff); done'

generate: ## generate the CRDs and the copy functions of their types
	scripts/generate.sh .

generate-check: ## fail if generate would change anything, and show the changes
	$(STEP) generate scripts/generate.sh --check

dist: ## write archives, packages, SBOMs and checksums of a release to dist/; COSIGN_KEY signs them
	scripts/dist.sh

image: ## write the container image for amd64 and arm64 to dist/image, an OCI layout
	scripts/image.sh

bench: $(LINT) ## run the benchmarks (10 minutes; those of nodes need root)
	PATH=$(TOOLS):$$PATH scripts/bench.sh

bench-node: ## measure the promised limits on a real node that need no target of their own (root)
	go run ./integration/bench

chaos: ## create containers while something fails, and print a table of what happened (root, 15 minutes)
	go run ./integration/chaos

soak: ## the same in a random order for DURATION (3m); run an hour before a release (root)
	go run ./integration/chaos -duration $(DURATION)

bench-creation: ## create 5,000 containers on each of seven nodes, to compare plugins and releases of containerd (root, 12 minutes)
	go run ./integration/bench creation
	go run ./integration/bench releases

bench-pods: ## start 110 pods at once with a real kubelet, with countersign and without it in turn (root, an hour)
	go run ./integration/bench pods

bench-hostile: ## measure the callback for a signed image among 10,000 hostile ones, while more are pulled (root, 12 minutes)
	go run ./integration/bench hostile

e2e-kind: ## run scripts/kind.sh on a kind cluster whose programs are all built here (root, 15 minutes, an hour without caches)
	go run ./integration/kind

mutants: ## run mutation tests in PACKAGES, and show the mutants that no test detects (hours)
	scripts/mutants.sh

fuzz: ## run each fuzz target for FUZZTIME (30s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

tools: $(LINT) ## build the linters and benchstat
	@echo $(TOOLS)

clean: ## remove build results and caches
	rm -rf bin .cache

$(LINT):
	@echo '== building the linters: about two minutes, once'
	cd scripts/tools && go build -trimpath -o $(TOOLS)/ tool

# The steps of a check run one after the other, the fastest first. In parallel, their output would be mixed.
.NOTPARALLEL:
.PHONY: help demo demo-kubernetes build test check unit race node lint fmt fmt-check tidy tidy-check bench chaos soak mutants fuzz
.PHONY: bench-node bench-creation bench-pods bench-hostile chart dashboard dist e2e-kind image tools clean reference pages generate generate-check
