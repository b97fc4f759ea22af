# A newcomer needs two targets: make demo, make test. make help lists all of them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

# Build, vet and test share one set of flags: with another one, Go compiles Kubernetes a second time.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false
export GOTOOLCHAIN := local

VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)

.PHONY: help demo test build fetch slipway sandbox kubectl runtime browser lint docs changelog failures faults fuzz \
	peers flux beside bench golden e2e image race release try site

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build kubectl ## deploy to dev, staging and prod, break prod and roll it back, on the embedded sandbox
	@./examples/demo.sh

test: build kubectl runtime browser ## run every test, and list those that were skipped
	go test -timeout 60m -json ./... ./.ci/testlog | go run ./.ci/testlog
	cd sandbox && go test -json ./... | go run ../.ci/testlog/main.go
	cd release && go test -json ./... | go run ../.ci/testlog/main.go
	cd site && go test -json ./... | go run ../.ci/testlog/main.go

build: fetch slipway sandbox ## build bin/slipway and bin/slipway-sandbox, static and stripped

# The sandbox's modules are downloaded while slipway is compiled.
fetch:
	@[ -x bin/slipway-sandbox ] || { cd sandbox && go list -deps . >/dev/null 2>&1 & }

# The compiler spends a fourth of its time on garbage collection, and its heap is small: it does without.
slipway sandbox kubectl: export GOGC := off
slipway sandbox kubectl: export GOMEMLIMIT := 3GiB

slipway: ## build bin/slipway alone
	@go build -v -ldflags "-s -w -X main.version=$(VERSION)" -o bin/slipway ./cmd/slipway 2>&1 | awk -f sandbox/progress.awk

sandbox: ## build bin/slipway-sandbox alone
	@[ -x bin/slipway-sandbox ] || echo "Building the sandbox: Kubernetes 1.37 from source, about 10 minutes on two cores the first time. Go's build cache keeps it (3.7 GB)."
	@cd sandbox && go build -v -ldflags "$$(cat ldflags)" -o ../bin/slipway-sandbox . 2>&1 | awk -f progress.awk

# Only the scripts use it.
kubectl:
	@cd sandbox && go build -ldflags "$$(cat ldflags)" -o ../bin/kubectl ./kubectl

# The browser of the tests of the web UI.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && { apt-get -qq install -y chromium || \
	{ apt-get -qq update && apt-get -qq install -y chromium; }; } >/dev/null 2>&1; } || \
	echo "Cannot install Debian's chromium: the tests in a browser will be skipped."

# Only the tests of RUN steps use Debian's runc, uidmap and busybox: they are unpacked, not installed.
runtime:
	@[ -x bin/runc ] && [ -x bin/busybox ] && [ -x bin/uidmap/newuidmap ] || ( t=$$(mktemp -d) && trap 'rm -rf "$$t"' EXIT && cd "$$t" && \
	{ apt-get -qq download runc uidmap busybox-static 2>/dev/null || { apt-get -qq update && apt-get -qq download runc uidmap busybox-static; }; } && \
	for p in *.deb; do dpkg-deb -x "$$p" .; done && mkdir -p "$(CURDIR)/bin/uidmap" && cp usr/sbin/runc bin/busybox "$(CURDIR)/bin/" && cp usr/bin/new[ug]idmap "$(CURDIR)/bin/uidmap/" ) || \
	echo "Cannot fetch Debian's runc, uidmap and busybox-static: the tests of RUN steps will be skipped."

lint: ## run gofmt, vet, staticcheck, deadcode and misspell, and check the direction of imports
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "gofmt would change: $$bad"; exit 1; }
	go vet ./... ./.ci/testlog
	cd sandbox && go vet ./...
	cd bench && go vet ./...
	cd release && go vet ./...
	cd site && go vet ./...
	go tool staticcheck ./... ./.ci/testlog
	@dead=$$(go tool deadcode -test ./...); [ -z "$$dead" ] || { echo "$$dead"; exit 1; }
	go tool misspell -i mosquitto -error $$(git ls-files '*.go' '*.md' '*.yaml' ':!:*testdata*')
	go test -run 'TestImports|TestReservedImports' .

docs: changelog failures ## rewrite the generated documents, CHANGELOG.md and most of docs/, and make the web site of all
	UPDATE=1 go test -run '^TestArchitecture$$' ./docs
	UPDATE=1 go test -run '^TestReference$$' ./internal/project
	UPDATE=1 go test -run '^Test(Command|Rule)Reference$$' ./cmd/slipway
	@$(MAKE) --no-print-directory site

site: ## make a web site of the documents in bin/site, with search, and check its links (SOURCE=URL of the files)
	@cd site && go run . -out ../bin/site -source "$(SOURCE)"

kinds: sandbox ## rewrite docs/kinds.md: which kinds settle, with a real API server
	UPDATE=1 go test -run '^TestKindsSettle$$' ./internal/cluster

failures: ## rewrite docs/failures.md: which failures Slipway explains, from the scripts that provoke them
	UPDATE=1 go test -run '^TestFailureTable$$' ./cmd/slipway

takeover: sandbox ## rewrite docs/takeover.md: what becomes of other tools' objects, with a real API server
	UPDATE=1 go test -run '^TestTakeover$$' ./internal/deploy

changelog: ## assemble CHANGELOG.md from changes/
	UPDATE=1 go test -run '^TestChangelog$$' ./docs

faults: build ## deploy 200 times while a fifth of the requests break, and kill a deploy at each write (SEEDS=7, SEEDS=1-200)
	SLIPWAY_FAULT_SEEDS=$(or $(SEEDS),1-200) go test -count=1 -timeout 90m -run '^Test(Faults|Outage)$$' ./internal/deploy
	SLIPWAY_FAULT_SEEDS=$(or $(SEEDS),1-200) go test -count=1 -timeout 30m -run '^TestKilledAtEachWrite$$' ./cmd/slipway

e2e: build kubectl runtime ## run scripts on a real node: containerd and a kubelet, as root (RUN=PATTERN, KEEP=1)
	@e2e/run

race: build kubectl ## run tests under Go's race detector, which needs a C compiler (RUN=PATTERN)
	CGO_ENABLED=1 go test -race -timeout 3h -parallel 2 -run '$(or $(RUN),.)' ./internal/... ./cmd/slipway

fuzz: ## run every fuzz target for 30 seconds (FUZZTIME=5s; FUZZ=PATTERN selects targets)
	@./.ci/fuzz $(or $(FUZZTIME),30s) '$(or $(FUZZ),^Fuzz)'

# Debian's packages are unpacked, not installed. ARCHES="amd64 arm64" makes an image for both; IMAGE=REGISTRY/NAME:TAG
# pushes it. As root, the agent's Git work is then run in a chroot of the image.
ARCHES ?= $(shell go env GOARCH)
image: build ## make the agent's image in bin/image (ARCHES="amd64 arm64", IMAGE=REFERENCE to push)
	@args=; for arch in $(ARCHES); do image/packages $$arch "$(CURDIR)/bin/image-$$arch" && \
	GOARCH=$$arch go build -ldflags "-s -w -X main.version=$(VERSION)" -o bin/image-$$arch.slipway ./cmd/slipway && \
	args="$$args $$arch=bin/image-$$arch.slipway=bin/image-$$arch"; done; \
	go run ./image -out bin/image -push "$(IMAGE)" $$args && \
	SLIPWAY_TEST_IMAGE="$(CURDIR)/bin/image" go test ./cmd/slipway -run '^TestImage$$' -v

# $COSIGN_PRIVATE_KEY, with $COSIGN_PASSWORD, signs the checksums. PLATFORMS="linux/amd64" makes fewer.
release: ## make everything that VERSION=v0.1.0 is published as, in dist (RELEASES=URL, PLATFORMS=OS/ARCH,…)
	@key=; [ -z "$${COSIGN_PRIVATE_KEY:-}" ] || { key=$$(mktemp) && trap 'rm -f "$$key"' EXIT && \
	printf '%s\n' "$$COSIGN_PRIVATE_KEY" >"$$key"; }; \
	cd release && go run . -version "$(VERSION)" -out ../dist -url "$(RELEASES)" -key "$$key" \
	$(if $(PLATFORMS),-platforms "$(PLATFORMS)")

try: ## type the README's sixty seconds in a clean directory, with nothing but the archive of dist for this machine
	@ls dist/slipway_*_linux_$$(go env GOARCH).tar.gz >/dev/null 2>&1 || { echo "dist has no archive for linux/$$(go env GOARCH):" \
	"run make release VERSION=v0.1.0 PLATFORMS=linux/$$(go env GOARCH) first."; exit 1; }
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	tar -xzf dist/slipway_*_linux_$$(go env GOARCH).tar.gz -C "$$dir" --strip-components=1 && \
	SLIPWAY_TEST_PROGRAMS="$$dir" go test -count=1 -v -run '^TestDocuments$$/^README.md$$' ./cmd/slipway

# The real commands at the versions that bench/go.mod pins. Slipway is compared with them and never calls them.
peers: ## build the kustomize, helm, kubeconform and crane commands into bin/peers
	@echo "Building the kustomize, helm, kubeconform and crane commands: some minutes the first time."
	@cd bench && go build -ldflags "-s -w" -o ../bin/peers/kustomize sigs.k8s.io/kustomize/kustomize/v5
	@cd bench && go build -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$$(go list -m -f '{{.Version}}' helm.sh/helm/v4)" -o ../bin/peers/helm helm.sh/helm/v4/cmd/helm
	@cd bench && go build -ldflags "-s -w" -o ../bin/peers/kubeconform github.com/yannh/kubeconform/cmd/kubeconform
	@cd bench && go build -ldflags "-s -w" -o ../bin/peers/crane github.com/google/go-containerregistry/cmd/crane

# Flux's controllers at the versions that bench/flux/go.mod pins, with the definitions of the same versions. It is a
# module of its own, because they need other versions of Kubernetes than bench does.
flux: ## build Flux's source-controller and kustomize-controller into bin/peers/flux: up to half an hour the first time
	@mkdir -p bin/peers/flux
	@cd bench/flux && for name in source-controller kustomize-controller; do \
	go build -ldflags "-s -w" -o ../../bin/peers/flux/$$name github.com/fluxcd/$$name && \
	install -m 644 "$$(go list -m -f '{{.Dir}}' github.com/fluxcd/$$name)"/config/crd/bases/*.yaml ../../bin/peers/flux/; done

beside: build kubectl flux ## hand an environment over from Flux's real controllers to Slipway and back
	SLIPWAY_TEST_FLUX="$(CURDIR)/bin/peers/flux" go test -count=1 -run '^TestBesideFlux$$' -v ./cmd/slipway

bench: slipway peers ## compare CPU time and memory with the peers (BENCH=small is shorter; BENCHFLAGS=-check, -copy, -deploy, -agent)
	@cd bench && go test ./work && go run . $(if $(filter small,$(BENCH)),-small) $(BENCHFLAGS)

golden: peers ## record what the peers print for the cases in internal/render/testdata/golden
	@cd bench && go run ./golden
