# Each line calls a tool anyone knows; tests/setup.sh installs what a machine lacks and says so.
# One profile (dev) for building and testing, so that nothing is compiled twice.

export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.PHONY: demo test lint bench soak fuzz kills week

# A small hospital on loopback; prints what to type; stays until Ctrl-C.
demo:
	sh tests/setup.sh demo
	cargo build --locked -p sekimori
	rm -rf target/demo
	target/debug/sekimori demo --dir target/demo

# Everything, through the real binary against OpenSSH, on SQLite and PostgreSQL.
test:
	sh tests/setup.sh test
	cargo build --locked -p sekimori
	cargo nextest run --workspace --locked

lint:
	sh tests/setup.sh lint
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --locked check --hide-inclusion-graph bans licenses sources
	sh tests/advisories.sh
	sh tests/house-rules.sh

# What passing through costs, beside ProxyJump in the same run; then the console with years behind it, the log
# and the recordings. Half an hour after the release build.
bench:
	sh tests/setup.sh test
	cargo build --locked --release -p sekimori
	cargo run --locked --release -p sekimori-tests --example bench
	cargo run --locked --release -p sekimori-tests --example console_bench
	rm -rf target/bench && mkdir -p target/bench
	cargo run --locked --release --example log_speed -- target/bench
	cargo run --locked --release --example recording_speed -- target/bench $(firstword $(wildcard /usr/lib/*/faketime/libfaketimeMT.so.1))
	rm -rf target/bench

# An hour of mixed load with 200 sessions at once, then 4 GiB each way; `make soak MINUTES=10 SESSIONS=50` for less.
soak:
	sh tests/setup.sh test
	cargo build --locked --release -p sekimori
	cargo run --locked --release -p sekimori-tests --example soak -- $(or $(MINUTES),60) $(or $(SESSIONS),200)

# A thousand times `kill -9` at random moments under load, on each database; `make kills KILLS=50` for fewer. An hour or more.
kills:
	sh tests/setup.sh test
	cargo build --locked -p sekimori
	SEKIMORI_KILLS=$(or $(KILLS),1000) cargo test --workspace --locked --test log_kills -- --nocapture

# A week at the gate in a quarter of an hour of this machine's, and then who sees what was done to its log.
week:
	sh tests/setup.sh test
	cargo build --locked -p sekimori
	rm -rf target/week
	cargo build --locked --workspace --example week
	target/debug/examples/week target/week
	SEKIMORI_WEEK=$(CURDIR)/target/week cargo test --locked --workspace --test mutations -- --ignored --nocapture

# Each parser against made-up input, a minute each; `make fuzz SECONDS=600` takes ten.
fuzz:
	sh tests/setup.sh fuzz
	sh tests/fuzz/run.sh $(or $(SECONDS),60)
