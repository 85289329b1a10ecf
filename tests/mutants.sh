#!/bin/sh
# Breaks the code on purpose, one small way after another, and sees that the tests notice. Each file of tests/mutants is
# one way: a sentence, the tests that have to fail (`tests: FILTER`, as cargo nextest takes it), and a diff.
#
#   sh tests/mutants.sh             all of them; works on a copy in target/mutants; takes about twenty minutes
#   sh tests/mutants.sh invariant   those whose names begin so
set -eu
cd "$(dirname "$0")/.."
here=$PWD
copy=$here/target/mutants
mkdir -p "$copy/tree"

fresh() {
    # Only what git knows, without its times: cargo builds again what was changed.
    git ls-files -z | tar -c --null -T - | tar -x -m -C "$copy/tree"
}

built() {
    cargo build --locked --quiet -p sekimori && cargo nextest run --workspace --locked -E "$1" --no-run
}

passes() {
    cargo nextest run --workspace --locked --no-fail-fast -E "$1"
}

export CARGO_TARGET_DIR="$copy/target"
fresh
cd "$copy/tree"
mkdir -p target
for installed in console player browser clients verifiers store mail; do
    ln -sfn "$here/target/$installed" "target/$installed"
done

# Tests that fail anyway notice nothing.
all=$(sed -n 's/^tests: \(.*\)/(\1)/p' "$here"/tests/mutants/"${1:-}"*.diff | sort -u | paste -sd '|')
if ! built "$all" >"$copy/sound.log" 2>&1 || ! passes "$all" >>"$copy/sound.log" 2>&1; then
    echo "the tests fail without a mutant: see $copy/sound.log" && exit 1
fi

survived=0
number=0
for mutant in "$here"/tests/mutants/"${1:-}"*.diff; do
    name=$(basename "$mutant" .diff)
    filter=$(sed -n 's/^tests: //p' "$mutant")
    file=$(sed -n 's|^+++ b/||p' "$mutant")
    log=$copy/$name.log
    number=$((number + 1))
    verdict=SURVIVED
    if ! patch --quiet --no-backup-if-mismatch -p1 <"$mutant"; then
        verdict=STALE
    elif ! built "$filter" >"$log" 2>&1; then
        verdict=UNBUILT
    elif ! passes "$filter" >"$log" 2>&1; then
        verdict=noticed
    fi
    [ "$verdict" = noticed ] || survived=$((survived + 1))
    echo "$verdict $name: $(head -n 1 "$mutant")"
    [ "$verdict" != noticed ] || grep '^ *FAIL' "$log" | sed 's/.*) /    by /' | sort -u | head -n 4
    rm -f "$file.rej" "$file.orig" && cp "$here/$file" "$file"
done
echo "$((number - survived)) of $number were noticed"
[ "$survived" -eq 0 ]
