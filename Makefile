# Two commands are all that a newcomer needs: make demo, make test.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

# One set of flags for build, vet and test: another one would compile Kubernetes a second time.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false
export GOTOOLCHAIN := local

VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)

.PHONY: demo test build slipway sandbox kubectl runtime lint fuzz peers bench golden

demo: build ## dev, staging, prod, a broken version and its rollback, on the embedded sandbox
	@./examples/demo.sh

test: build kubectl runtime ## every test; scripts run against the real control plane, with the real kubectl
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

# For the tests of RUN steps alone: Debian's runc, uidmap and busybox, unpacked and not installed.
runtime:
	@[ -x bin/runc ] && [ -x bin/busybox ] && [ -x bin/uidmap/newuidmap ] || ( t=$$(mktemp -d) && trap 'rm -rf "$$t"' EXIT && cd "$$t" && \
	{ apt-get -qq download runc uidmap busybox-static 2>/dev/null || { apt-get -qq update && apt-get -qq download runc uidmap busybox-static; }; } && \
	for p in *.deb; do dpkg-deb -x "$$p" .; done && mkdir -p "$(CURDIR)/bin/uidmap" && cp usr/sbin/runc bin/busybox "$(CURDIR)/bin/" && cp usr/bin/new[ug]idmap "$(CURDIR)/bin/uidmap/" ) || \
	echo "Debian's runc, uidmap and busybox-static cannot be fetched: what tests RUN steps is left out."

lint: ## gofmt, vet, staticcheck, and the direction of imports
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "gofmt would change: $$bad"; exit 1; }
	go vet ./...
	cd sandbox && go vet ./...
	cd bench && go vet ./...
	go tool staticcheck ./...
	go test -run 'TestImports|TestReservedImports' .

fuzz: ## every fuzz target, FUZZTIME each; FUZZ picks some
	@./.ci/fuzz $(or $(FUZZTIME),30s) '$(or $(FUZZ),^Fuzz)'

# The real commands, from their modules as bench/go.mod pins them: to compare with, never to render with.
peers:
	@echo "Building the kustomize, helm, kubeconform and crane commands: some minutes the first time."
	@cd bench && go build -ldflags "-s -w" -o ../bin/peers/kustomize sigs.k8s.io/kustomize/kustomize/v5
	@cd bench && go build -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$$(go list -m -f '{{.Version}}' helm.sh/helm/v4)" -o ../bin/peers/helm helm.sh/helm/v4/cmd/helm
	@cd bench && go build -ldflags "-s -w" -o ../bin/peers/kubeconform github.com/yannh/kubeconform/cmd/kubeconform
	@cd bench && go build -ldflags "-s -w" -o ../bin/peers/crane github.com/google/go-containerregistry/cmd/crane

bench: slipway peers ## slipway's CPU time and memory against the peers', and check's by itself (BENCHFLAGS=-check, -copy); BENCH=small leaves out the long part
	@cd bench && go test ./work && go run . $(if $(filter small,$(BENCH)),-small) $(BENCHFLAGS)

golden: peers ## what the peers print for each case of internal/render/testdata/golden, kept beside it
	@cd bench && go run ./golden
