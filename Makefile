# make help lists the targets. FUZZTIME, BENCHFLAGS and ARGS (more arguments of
# a suite: ARGS="-run TestControls") may be set.

GO       ?= go
FUZZTIME ?= 30s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   = -s -w -X main.version=$(VERSION)
BUILD     = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

.PHONY: all build build-arm64 test race demo bench e2e powerfail hostile faults vm faults-exhaustive browser ssh dist test-dist install uninstall fuzz lint fmt clean help

all: build

## build: a static binary at bin/mailsync
build:
	$(BUILD) -o bin/mailsync ./cmd/mailsync

## build-arm64: the same for another machine, at bin/mailsync-arm64
build-arm64:
	GOOS=linux GOARCH=arm64 $(BUILD) -o bin/mailsync-arm64 ./cmd/mailsync

## test: everything that needs no root and no server
test:
	$(GO) test -shuffle=on ./...

## race: the same under the race detector (needs a C compiler)
race:
	CGO_ENABLED=1 $(GO) test -race -timeout 20m -shuffle=on ./...

## demo: the main job end to end on a made-up estate, each step checked; no config, no root, no server
demo: build
	bin/mailsync drill power-loss --auto

## bench: speed and memory beside other tools (minutes; needs some of them installed)
bench: build
	$(GO) run ./cmd/internal/bench -bin bin/mailsync $(BENCHFLAGS)

## e2e: beside a real Dovecot (root; installs nothing itself)
e2e: build
	$(GO) test -count=1 -timeout 20m -tags e2e ./cmd/internal/e2e $(ARGS)

## powerfail: power cuts on real file systems (root, loop devices; an hour and more, ARGS=-short some minutes)
powerfail: build
	$(GO) test -v -count=1 -timeout 6h -tags powerfail ./cmd/internal/powerfail $(ARGS)

## hostile: planted links, devices, names and archives (root does more; ARGS=-short: smaller)
hostile: build
	$(GO) test -count=1 -timeout 90m -tags hostile ./cmd/internal/hostile $(ARGS)

## faults: every system call of the binary fails once (needs strace)
faults: build
	$(GO) test -count=1 -timeout 30m -tags faults ./cmd/internal/faults $(ARGS)

## vm: the quotas of ext4 and XFS, under a kernel that has them, in a virtual machine (root, qemu-system-x86; minutes)
vm: build
	$(GO) test -v -count=1 -timeout 40m -tags vm ./cmd/internal/vm $(ARGS)

## faults-exhaustive: every call of every command fails in every way, in one process (the better part of an hour)
faults-exhaustive:
	MAILSYNC_TEST_EXHAUSTIVE=1 $(GO) test -count=1 -timeout 6h -v -run TestEveryCallOfEveryCommand ./cmd/mailsync $(ARGS)

## ssh: stores on other hosts over a real OpenSSH on the loopback address
ssh: build
	$(GO) test -count=1 -timeout 20m -tags ssh ./cmd/internal/ssh $(ARGS)

## browser: the report page in a real browser (needs chromium)
browser:
	$(GO) test -count=1 -timeout 10m -tags browser ./cmd/internal/browser $(ARGS)

## dist: binaries, packages (.deb, .rpm), bills of materials and checksums, in dist/; KEY=FILE signs (needs dpkg-deb, rpmbuild)
dist:
	$(GO) run ./cmd/internal/dist -key '$(KEY)'

## test-dist: the packages twice the same, by lintian and rpm, installed in a clean root, drilled, removed (root)
test-dist:
	$(GO) test -count=1 -timeout 20m -tags dist ./cmd/internal/dist $(ARGS)

PREFIX ?= /usr/local

## install: program, man pages, completions and units below PREFIX (and DESTDIR)
install:
	$(GO) run ./cmd/internal/dist -install -prefix '$(PREFIX)' -destdir '$(DESTDIR)'

## uninstall: takes them away again
uninstall:
	$(GO) run ./cmd/internal/dist -uninstall -prefix '$(PREFIX)' -destdir '$(DESTDIR)'

## fuzz: every fuzz target for FUZZTIME
fuzz:
	./.ci/fuzz $(FUZZTIME)

## lint: format, vet, staticcheck
lint:
	@test -z "$$($(GO) tool gofumpt -l .)" || { echo 'not formatted (make fmt):'; $(GO) tool gofumpt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

## fmt: format the code
fmt:
	$(GO) tool gofumpt -w .

## clean: remove what was built
clean:
	rm -rf bin dist

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
