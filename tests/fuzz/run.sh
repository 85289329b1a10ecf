#!/bin/sh
# Fuzzes the parsers that read what strangers, clients and equipment send: libFuzzer, on the stable toolchain.
#
#   sh tests/fuzz/run.sh 60                  every target for 60 seconds
#   sh tests/fuzz/run.sh 600 sftp scp        these two for ten minutes each
#
# A target is a file in targets/, an entry in Cargo.toml, and a folder of seeds in corpus/, few, tiny and named for what they
# are: what a run finds beyond them stays in target/fuzz, and the next run goes on from there. A finding stops the run; its
# input lies in target/fuzz/findings, and `target/fuzz/TARGET FINDING` repeats it. It is mended with a test where the
# parser's own tests are.
set -eu
cd "$(dirname "$0")/../.."

time=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cd tests/fuzz/targets && ls | grep -v '^common.rs$' | sed 's/[.]rs$//')

# The counters that libFuzzer reads. With --target they stay out of build scripts.
counters='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
counters="$counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS=$counters CARGO_TARGET_DIR=target/fuzz \
    "${CARGO:-cargo}" build --release --locked --manifest-path tests/fuzz/Cargo.toml --target "$host"

for target in "$@"; do
    binary=target/fuzz/$host/release/$target
    found=target/fuzz/corpus/$target
    seeds=tests/fuzz/corpus/$target
    log=target/fuzz/$target.log
    mkdir -p "$found" target/fuzz/findings
    ln -sf "$host/release/$target" "target/fuzz/$target"
    limits="-timeout=10 -rss_limit_mb=2048 -max_len=4096 -artifact_prefix=target/fuzz/findings/$target-"
    # shellcheck disable=SC2086
    if ! "$binary" -max_total_time="$time" -print_final_stats=1 $limits "$found" "$seeds" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "fuzz: $target found something: see $log and target/fuzz/findings" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    reached=$(grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*' "$log" | tail -n 1)
    echo "fuzz: $target: $runs runs in $time s, $reached"
done
