#!/bin/sh
# What no linter checks: what each file opens with, how long it is, and that nothing of one machine is committed.
set -eu
cd "$(dirname "$0")/.."

faults=0
fault() {
    echo "house rules: $*" >&2
    faults=$((faults + 1))
}

files=$(mktemp)
trap 'rm -f "$files"' EXIT
git ls-files --cached --others --exclude-standard >"$files"
[ -s "$files" ] || fault "git lists no files; run this in a checkout"

while IFS= read -r file; do
    [ -f "$file" ] || continue
    case $file in
    *.rs)
        IFS= read -r head <"$file" || head=
        case $head in
        '//!'*) ;;
        *) fault "$file does not open with //!: say what it is for and what it leaves to whom" ;;
        esac
        lines=$(wc -l <"$file")
        [ "$lines" -le 500 ] || fault "$file has $lines lines: split it, 500 is the most"
        ;;
    esac
done <"$files"

# Hosts of package registries and mirrors: each machine reaches them its own way. (The brackets keep this line from finding itself.)
registries='registry[.]npmjs|files[.]pythonhosted|(^|[^a-z])pypi[.](org|python)|(index|static)[.]crates[.]io|deb[.]debian[.]org|proxy[.]golang|artifactor[y]'
# Folders of one machine.
folders='(^|[^A-Za-z0-9_.~-])/(work|root|Users|home/[a-z]+)/'

found=$(tr '\n' '\0' <"$files" | xargs -0 grep -nIE "$registries" /dev/null || true)
[ -z "$found" ] || fault "registry hosts do not belong in the files:
$found"
found=$(tr '\n' '\0' <"$files" | grep -zv -e '^LICENSE$' | xargs -0 grep -nIE "$folders" /dev/null || true)
[ -z "$found" ] || fault "paths of one machine do not belong in the files:
$found"

if [ "$faults" -gt 0 ]; then
    echo "house rules: $faults broken" >&2
    exit 1
fi
echo "house rules: $(wc -l <"$files") files, none broken"
