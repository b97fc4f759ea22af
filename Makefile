# Two commands are all that a newcomer needs: make demo, make test.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

# One set of flags for build, vet and test: another one would compile Kubernetes a second time.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false
export GOTOOLCHAIN := local

VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)

.PHONY: demo test build slipway sandbox kubectl lint bench

demo: build ## dev, staging, prod, a broken version and its rollback, on the embedded sandbox
	@./examples/demo.sh

test: build kubectl ## every test; scripts run against the real control plane, with the real kubectl
	go test ./...
	cd sandbox && go test ./...

build: slipway sandbox ## bin/slipway and bin/slipway-sandbox, static and stripped

slipway:
	@go build -v -ldflags "-s -w -X main.version=$(VERSION)" -o bin/slipway ./cmd/slipway 2>&1 | awk -f sandbox/progress.awk

sandbox:
	@[ -x bin/slipway-sandbox ] || echo "Building the sandbox: Kubernetes 1.37 from source, about 10 minutes on two cores the first time. Go's build cache keeps it (3.7 GB)."
	@cd sandbox && go build -v -ldflags "$$(cat ldflags)" -o ../bin/slipway-sandbox . 2>&1 | awk -f progress.awk

# For the scripts alone: build and demo do without it.
kubectl:
	@cd sandbox && go build -ldflags "$$(cat ldflags)" -o ../bin/kubectl ./kubectl

lint: ## gofmt, vet, staticcheck, and the direction of imports
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "gofmt would change: $$bad"; exit 1; }
	go vet ./...
	cd sandbox && go vet ./...
	go tool staticcheck ./...
	go test -run 'TestImports|TestReservedImports' .

bench: ## ratios against the peers, side by side; nothing to compare yet
	@echo "bench: no comparison exists yet; the first ones come with the renderers"
