# Everything that is run on this tree, by name. `make` alone lists the targets.
#
# Test names say how a test must be run, so no build tag is needed:
#   TestAlloc…      counts allocations; the race detector changes them, so plain
#   TestMultiNode…  starts several nodes; too slow under the race detector
#   TestLarge…      one goroutine over so much data that the race detector takes minutes
#   TestQuestDB…    needs a real QuestDB server, which does most of the work
#   everything else runs with the race detector

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0

PLAIN   := ^Test(Alloc|MultiNode|Large|QuestDB)
TIMEOUT ?= 20m
PKG     ?= ./...
ARGS    ?=

# Rounds of the kill and fault suites; soak raises it.
export MARKETPRISM_KILL_ROUNDS ?= 3

# The moments of the kills: new ones in every run, the same when a test is tried again.
ifndef MARKETPRISM_KILL_SEED
MARKETPRISM_KILL_SEED := $(shell date +%s)
endif
export MARKETPRISM_KILL_SEED

# Recorded traffic makes the tests that need it obligatory, where it is present.
CAPTURES := $(wildcard $(or $(MARKETPRISM_CAPTURES),../shared/captures))
ifneq ($(CAPTURES),)
ci: export MARKETPRISM_REQUIRE_CAPTURES ?= 1
endif

# What the dashboard's walks saw stays with what was built.
ci: export MARKETPRISM_PICTURES ?= $(CURDIR)/bin/pictures

# So are real servers, in the whole check: a suite that cannot get its own fails.
ci: export MARKETPRISM_REQUIRE_SERVERS ?= 1

# And divided networks, where they can be had at all.
ifeq ($(shell uname -s) $(shell id -u),Linux 0)
ci: export MARKETPRISM_REQUIRE_NAMESPACES ?= 1
endif

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## ---- run and build

.PHONY: run build
run: ## everything at once on simulated exchanges (ARGS="--port-offset 10000")
	go run . dev $(ARGS)

build: ## the static binary, bin/marketprism
	CGO_ENABLED=0 go build -trimpath -o bin/marketprism .

## ---- test

.PHONY: test race plain deploy short layers cover
test: race plain deploy ## all tests: with the race detector, then those that run plain

race: ## tests with the race detector (PKG=./connectors/...)
	.ci/gotest -race -shuffle=on -timeout $(TIMEOUT) -skip '$(PLAIN)' -- $(PKG)

plain: ## allocation and multi-node tests, without the race detector
	.ci/plain '$(PLAIN)' -timeout $(TIMEOUT)

deploy: ## what is deployed, by the parsers of those who read it
	cd tests/deploy/parsers && go vet ./... && go test -timeout $(TIMEOUT) ./...

short: ## quick tests while editing (PKG=./internal/book)
	go test -short $(PKG)

layers: ## who may import whom, and the required packages
	go test -run '^TestLayer' ./tests

cover: ## coverage of the tests, as coverage.html
	go test -coverprofile=coverage.out -coverpkg=./... $(PKG)
	go tool cover -html=coverage.out -o coverage.html

## ---- prove, for longer

.PHONY: soak bench fuzz
soak: export MARKETPRISM_KILL_ROUNDS = 50
soak: export MARKETPRISM_PREVIOUS ?= $(shell git rev-list --max-count=1 --skip=20 HEAD 2>/dev/null)
soak: ## the kill and fault suites, 50 rounds each, ten million archived trades, a million cron expressions, the dashboard for an hour
	packages=$$(grep -rl --include='*_test.go' MARKETPRISM_KILL_ROUNDS . | xargs -r -n1 dirname | sort -u); \
	if [[ -z $$packages ]]; then echo "no test reads MARKETPRISM_KILL_ROUNDS yet"; exit 1; fi; \
	go test -count=1 -timeout 6h -v $$packages
	MARKETPRISM_LARGE_TRADES=10000000 MARKETPRISM_SOAK=1 go test -count=1 -timeout 30m -v -run '^TestLarge' ./persistence/cold ./internal/cron
	MARKETPRISM_SOAK=1 go test -count=1 -timeout 60m -v -run '^(TestReproducible|TestMultiNodeCompose)$$' ./tests/deploy
	MARKETPRISM_SOAK=1 go test -count=1 -timeout 2h -v -run 'Crowd|Flood|Tab|Steady' ./tests/browser
	MARKETPRISM_SOAK=1 go test -count=1 -timeout 30m -v -run '^TestMultiNode(Partition|Frozen|ConsulSilent|FiveBrokers)$$' ./tests/cluster
	MARKETPRISM_SOAK=1 MARKETPRISM_KILL_ROUNDS=20 go test -count=1 -timeout 2h -v -parallel 1 -run '^TestMultiNode(Kills|Upgrade|Many)$$' ./tests/cluster

bench: ## benchmarks for benchstat (PKG=./internal/book COUNT=6)
	go test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem -count $(or $(COUNT),6) $(PKG)

fuzz: ## every fuzz target for a minute (FUZZ=Decode FUZZ_TIME=10m)
	FUZZ_TIME=$(or $(FUZZ_TIME),1m) FUZZ_BUDGET=0 FUZZ='$(FUZZ)' .ci/fuzz

## ---- look after the code

.PHONY: generate fmt lint vuln
generate: ## regenerate what is generated
	go generate ./...

fmt: ## gofmt everything
	gofmt -w .

lint: ## golangci-lint (built once, see .golangci.yml)
	"$$(.ci/tool github.com/golangci/golangci-lint/v2/cmd/golangci-lint $(GOLANGCI_LINT))" run ./...

vuln: ## known vulnerabilities in what we call
	.ci/vuln $(GOVULNCHECK)

## ---- all of it

.PHONY: ci
ci: ## what .ci/run runs: format, vet, lint, layers, tests, fuzz, drift, vulnerabilities
	@.ci/step format .ci/format
	@.ci/step build go build ./...
	@.ci/step vet go vet ./...
	@.ci/step layers $(MAKE) -s layers
	@.ci/step lint $(MAKE) -s lint
	@.ci/step race $(MAKE) -s race
	@.ci/step plain $(MAKE) -s plain
	@.ci/step deploy $(MAKE) -s deploy
	@.ci/step fuzz .ci/fuzz
	@.ci/step drift .ci/drift
	@.ci/step vuln $(MAKE) -s vuln
