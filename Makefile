# Each target that CI runs is the same target at home. `make` alone lists them.
GO      ?= go
TOOL    := $(GO) tool -modfile=build/go.mod
PKGS    := ./...
FUZZ    ?= 60s

##@ Try it
demo: build ## make a picture with the embedded ComfyUI, through MCP, into demo-out/
	./bin/comfygate demo

build: ## the binary, bin/comfygate
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w" -o bin/comfygate ./cmd/comfygate

install: ## the binary, into Go's bin folder
	CGO_ENABLED=0 $(GO) install -trimpath -ldflags="-s -w" ./cmd/comfygate

##@ Work on it
test: ## every test, with the race detector, in random order
	$(GO) test -race -shuffle=on -timeout 10m $(PKGS)

check: tidy-check vet lint arch docs-check deadcode ## all that is checked besides tests

vet: ## go vet, for each system we ship for
	$(GO) vet $(PKGS)
	GOOS=windows $(GO) vet $(PKGS)
	GOOS=darwin $(GO) vet $(PKGS)

lint: ## linters and format, as pinned in build/go.mod
	$(TOOL) golangci-lint run $(PKGS)
	$(TOOL) golangci-lint fmt --diff

fmt: ## format everything
	$(TOOL) golangci-lint fmt

arch: ## rules about the whole repository
	$(GO) test -run 'TestImports|TestNo|TestLog|TestSec' .

docs-check: ## generated documents are current, links and commands in them hold
	$(GO) test -run 'TestDocs' .

docs: ## rewrite the generated documents
	$(GO) test -run 'TestDocs' . -update

golden: ## rewrite the golden files of tools and graphs; read the diff
	$(GO) test ./tools/... ./comfy/workflow/... -update

deadcode: ## functions that nothing reaches, tests included
	@out="$$($(TOOL) deadcode -test $(PKGS))"; if [ -n "$$out" ]; then echo "$$out"; exit 1; fi

tidy-check: ## go.mod and go.sum are tidy
	$(GO) mod tidy -diff
	$(GO) mod verify

##@ Go deeper
e2e: build ## the live suite against a ComfyUI: make e2e COMFYGATE_COMFYUI__URL=http://127.0.0.1:8188
	@test -n "$(COMFYGATE_COMFYUI__URL)" || { echo "say which server: make e2e COMFYGATE_COMFYUI__URL=http://127.0.0.1:8188"; exit 2; }
	E2E_URL="$(COMFYGATE_COMFYUI__URL)" E2E_BINARY="$(CURDIR)/bin/comfygate" $(GO) test -count=1 -v -timeout 30m ./test/e2e

conformance: ## the official MCP suites, 2025-11-25 and 2026-07-28, against our HTTP stack (installs Node 22 and them by name)
	./test/conformance/run.sh

clients: ## the official TypeScript and Python clients and the Inspector against the binary, and a foreign ComfyUI client against the emulator
	./test/clients/run.sh

e2e-templates: ## whether a ComfyUI takes what we make of its own templates: make e2e-templates COMFYGATE_COMFYUI__URL=http://127.0.0.1:8188
	@test -n "$(COMFYGATE_COMFYUI__URL)" || { echo "say which server: make e2e-templates COMFYGATE_COMFYUI__URL=http://127.0.0.1:8188"; exit 2; }
	$(GO) run ./test/templates -url "$(COMFYGATE_COMFYUI__URL)" -base "$(E2E_BASE_DIR)"

tiny-models: ## small random models and placeholders for a live suite: make tiny-models OUT=DIR [TEMPLATES=URL] writes below DIR/models
	@test -n "$(OUT)" || { echo "say where: make tiny-models OUT=DIR"; exit 2; }
	$(GO) run ./test/tinymodels -out "$(OUT)" -templates "$(TEMPLATES)"

bench: build ## what comfygate costs, beside a bare baseline in the same run
	E2E_BINARY="$(CURDIR)/bin/comfygate" $(GO) run ./test/bench

bench-memory: build ## the memory that a million identities and 200 uploads at once take, beside their budgets (Linux)
	E2E_BINARY="$(CURDIR)/bin/comfygate" $(GO) run ./test/benchmemory

crash: ## kill -9 at every point of the audit log where a process may end, 200 times; verify after each
	E2E_CRASH_RUNS=200 $(GO) test -count=1 -v -timeout 10m -run TestT61_crash_points ./audit

attack: build ## the attack suite: over the wire against the built binary, and the tests of what nobody outside can cause; writes docs/attack-suite.md
	E2E_BINARY="$(CURDIR)/bin/comfygate" $(GO) test -count=1 -v -timeout 60m -run '^TestAttack$$' ./test/attack -args -all -update

fuzz: ## each fuzz target for FUZZ (60s), found by listing, so that a new one is never forgotten
	@set -e; for pkg in $$($(GO) list $(PKGS)); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZ) -fuzzminimizetime 10x $$pkg; \
	  done; done

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.DEFAULT_GOAL := help
.PHONY: demo build install test check vet lint fmt arch docs-check docs golden deadcode tidy-check e2e e2e-templates tiny-models bench bench-memory conformance clients crash attack fuzz help
