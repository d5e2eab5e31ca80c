# make deps    what building and testing need, on Debian 12; only what is missing is installed
# make build   the two binaries, optimised, in target/release
# make run     both processes with the demo configuration, API on port 8080; Ctrl-C ends it
# make test    all tests: units, end to end, documentation, and the shared memory under loom; BILBYCAST_PEERS=optional skips
#              those that need a program or a right that is not there, and that fail otherwise
# make deb     the Debian package, in target/deb
# make bench   micro-benchmarks, the throughput harness and the API harness; results in target/bench

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo

.PHONY: bench build build-deps deb deps run test

build-deps:
	@demo/deps.sh build

deps:
	@demo/deps.sh test

build: build-deps
	$(CARGO) build --release --locked -p bilbycast-dataplane -p bilbycast-controlplane

deb: build-deps
	$(CARGO) build --release --locked -p bilbycast-analyze -p bilbycast-controlplane -p bilbycast-dataplane \
		-p bilbycast-packaging
	@packaging/build-deb.sh target/release target/deb

run: build
	@demo/run.sh

# Binaries and tests in one call: the end-to-end tests start the binaries of their own profile, and nothing is compiled
# for both twice.
test: deps
	$(CARGO) build --locked --workspace --bins --tests
	$(CARGO) nextest run --locked --workspace
	$(CARGO) test --locked --workspace --doc --quiet
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom $(CARGO) test --locked -p bilbycast-shm-proto --lib --release

bench: build-deps
	$(CARGO) build --release --locked -p bilbycast-dataplane -p bilbycast-controlplane
	$(CARGO) bench --locked -p bilbycast-benches
	$(CARGO) build --release --locked -p bilbycast-benches --bins
	target/release/bilbycast-bench-throughput
	target/release/bilbycast-bench-api
	target/release/bilbycast-bench-throughput --collect-criterion
	target/release/bilbycast-bench-capacity
