#!/bin/sh
# Installs what a set of make targets needs and the machine lacks, by name, and says what and why.
#
#   sh tests/setup.sh build|demo|lint|test|fuzz
#
# Debian packages come through apt-get (with sudo when not root), cargo tools into target/tools, what the console's pages
# load of others from npm into target/console, the stock asciinema player into target/player, SSH clients from npm and
# PyPI into target/clients, each by its lock file, other people's verifiers of the log into target/verifiers, an
# S3-compatible store into target/store, a mail server into target/mail.
# With all in place it does nothing.
set -eu
cd "$(dirname "$0")/.."

NEXTEST=0.9.143
DENY=0.20.2

say() { echo "setup: $*"; }
fail() {
    echo "setup: $*" >&2
    exit 1
}

# need COMMAND PACKAGE WHY...: notes the Debian package if the command is missing.
packages=
need() {
    command=$1 package=$2
    shift 2
    have "$command" && return 0
    say "installing Debian package $package: $*"
    packages="$packages $package"
}

have() {
    PATH="$PWD/target/tools/bin:$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1
}

install_packages() {
    [ -n "$packages" ] || return 0
    have apt-get || fail "this is no Debian machine; install these by hand:$packages"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || fail "installing needs root and there is no sudo; run as root: apt-get install$packages"
        as_root=sudo
    fi
    # Another apt-get may be at work: wait for its lock instead of failing.
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600"
    log=$(mktemp)
    $apt update >"$log" 2>&1 || say "apt-get update failed; trying with the package lists that are there"
    # shellcheck disable=SC2086 # several words each, on purpose
    $apt install -y --no-install-recommends $packages >"$log" 2>&1 || {
        tail -n 15 "$log" >&2 && rm -f "$log"
        fail "apt-get could not install:$packages (no network? not root?); install them by hand and run this again"
    }
    rm -f "$log"
    # The tests start their own servers on free ports; a workstation keeps no new open port from this.
    if [ -d /run/systemd/system ]; then
        for service in ssh postgresql; do
            case "$packages " in
            *" $([ $service = ssh ] && echo openssh-server || echo postgresql) "*)
                say "switching off the system service $service that came with its package"
                $as_root systemctl disable --now "$service" >/dev/null 2>&1 || say "could not switch off $service: look at it yourself"
                ;;
            esac
        done
    fi
}

# cargo_tool COMMAND CRATE VERSION WHY...: a tool from crates.io, built once into target/tools.
cargo_tool() {
    tool=$1 crate=$2 version=$3
    shift 3
    have "$tool" && return 0
    say "building $crate $version with cargo, a few minutes, once: $*"
    # Without optimisation it is built in half the time, and is quick enough.
    cargo install --quiet --locked --debug --root target/tools --version "=$version" "$crate" ||
        fail "cargo could not install $crate $version (no network?); install it by hand: cargo install $crate --locked --version $version"
}

# npm_folder NAME FROM PACKAGES WHY...: npm packages into target/NAME, as the lock file in FROM says what they are made of.
npm_folder() {
    name=$1 from=$2 list=$3
    shift 3
    if [ -d "target/$name/node_modules" ] && cmp -s "$from/package-lock.json" "target/$name/installed.json"; then
        return 0
    fi
    say "installing from npm $list ($from/package-lock.json): $*"
    rm -rf "target/$name"
    mkdir -p "target/$name"
    cp "$from/package.json" "$from/package-lock.json" "target/$name/"
    (cd "target/$name" && npm ci --silent --no-audit --no-fund --ignore-scripts) ||
        fail "npm ci could not install $list (no network?)"
    cp "$from/package-lock.json" "target/$name/installed.json"
}

# SSH clients from elsewhere, which the tests connect with.
ssh_clients() {
    clients=target/clients
    if cat tests/clients/package-lock.json tests/clients/requirements.txt | cmp -s - $clients/installed; then
        return 0
    fi
    say "installing from npm ssh2 (tests/clients/package-lock.json): a client in the tests"
    rm -rf $clients
    mkdir -p $clients
    cp tests/clients/package.json tests/clients/package-lock.json $clients/
    (cd $clients && npm ci --silent --no-audit --no-fund --ignore-scripts) || fail "npm ci could not install ssh2 (no network?)"
    say "installing from PyPI asyncssh, paramiko, ssh-audit (tests/clients/requirements.txt): clients in the tests"
    python3 -m venv $clients/venv && $clients/venv/bin/pip install --quiet --disable-pip-version-check --no-deps \
        --requirement tests/clients/requirements.txt || fail "pip could not install the Python clients (no network?)"
    cat tests/clients/package-lock.json tests/clients/requirements.txt >$clients/installed
}

# Verifiers of the transparency log that are not ours: Go's own implementation in a program of a hundred lines, and
# aics-tlog, which needs Python 3.12.
log_verifiers() {
    verifiers=target/verifiers
    if cat tests/verifiers/verify_log.go tests/verifiers/requirements.txt | cmp -s - $verifiers/installed; then
        [ ! -e $verifiers/no-aics-tlog ] || say "aics-tlog is left out of the tests: there is no Python 3.12 here"
        return 0
    fi
    rm -rf $verifiers
    mkdir -p $verifiers
    say "building tests/verifiers/verify_log.go with Debian's Go: verifies the log in the tests"
    GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= GOCACHE="$PWD/$verifiers/cache" \
        go build -o $verifiers/verify_log tests/verifiers/verify_log.go || fail "go could not build verify_log.go"
    rm -rf "$verifiers/cache"
    python=
    # Where pyenv manages several, the newer ones are not on the path.
    for candidate in python3 python3.14 python3.13 python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9].*/bin/python3; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -n "$python" ]; then
        say "installing from PyPI aics-tlog (tests/verifiers/requirements.txt): verifies the log in the tests"
        "$python" -m venv $verifiers/aics-tlog && $verifiers/aics-tlog/bin/pip install --quiet --disable-pip-version-check \
            --no-deps --requirement tests/verifiers/requirements.txt || fail "pip could not install aics-tlog (no network?)"
    else
        say "aics-tlog is left out of the tests: there is no Python 3.12 here"
        : >$verifiers/no-aics-tlog
    fi
    cat tests/verifiers/verify_log.go tests/verifiers/requirements.txt >$verifiers/installed
}

# An S3-compatible store, with AWS's own client to ask it.
object_store() {
    store=target/store
    cmp -s tests/store/requirements.txt $store/installed && return 0
    rm -rf $store
    say "installing from PyPI moto, boto3 (tests/store/requirements.txt): the store of backups in the tests"
    python3 -m venv $store && $store/bin/pip install --quiet --disable-pip-version-check --no-deps \
        --requirement tests/store/requirements.txt || fail "pip could not install moto (no network?)"
    cp tests/store/requirements.txt $store/installed
}

# A mail server.
mail_server() {
    mail=target/mail
    cmp -s tests/mail/requirements.txt $mail/installed && return 0
    rm -rf $mail
    say "installing from PyPI aiosmtpd (tests/mail/requirements.txt): the mail server in the tests"
    python3 -m venv $mail && $mail/bin/pip install --quiet --disable-pip-version-check --no-deps \
        --requirement tests/mail/requirements.txt || fail "pip could not install aiosmtpd (no network?)"
    cp tests/mail/requirements.txt $mail/installed
}

build_set() {
    have cargo || fail "cargo is missing: install Rust 1.95 with rustup, then run this again"
    have cc || fail "there is no C compiler: install Debian package gcc, then run this again"
    need make make "runs the Makefile"
    need npm npm "fetches what the pages of the console load, which is built into the program"
}

demo_set() {
    build_set
    need ssh openssh-client "the vendor's side of the demo"
    need oathtool oathtool "makes one-time codes without a telephone"
}

lint_set() {
    build_set
    need git git "lists the files that the house rules are checked on"
    need xargs findutils "hands the files to the checks"
}

test_set() {
    demo_set
    need sshd openssh-server "the equipment in the tests"
    need telnetd inetutils-telnetd "equipment that speaks telnet in the tests"
    need age age "opens sealed recordings by hand in the tests"
    need zstd zstd "unpacks them"
    need tshark tshark "reads the recorded forwards in the tests"
    need node nodejs "runs the stock asciinema player in the tests"
    need plink putty-tools "a client in the tests"
    need dbclient dropbear-bin "a client in the tests"
    need curl curl "speaks SFTP by libssh2, SOCKS, and HTTPS to the console in the tests"
    need chromium chromium "shows the pages of the console in the tests"
    ls /usr/share/fonts/opentype/noto/NotoSansCJK* >/dev/null 2>&1 || need noto-cjk fonts-noto-cjk "shows Japanese in them"
    need rsync rsync "copies through the gateway in the tests"
    need git git "pushes through the gateway in the tests"
    need ansible ansible-core "runs modules through the gateway in the tests"
    need openssl openssl "makes certificates for the console and for the witness in the tests"
    need zbarimg zbar-tools "reads the QR of a checkpoint in the tests"
    need python3 python3 "runs Python clients in the tests"
    python3 -c 'import ensurepip, venv' 2>/dev/null || need pyvenv python3-venv "keeps the Python clients of the tests apart"
    need mkfs.ext4 e2fsprogs "makes a disk that stands still in the tests"
    need fsfreeze util-linux "makes it stand still"
    need systemd-analyze systemd "judges the unit of the service in the tests"
    need go golang-go "builds a verifier of the log on Go's own implementation of such logs"
    [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ] || need go-mod golang-golang-x-mod-dev "is that implementation"
    need setpriv util-linux "starts PostgreSQL as its own user in the tests"
    need ip iproute2 "makes networks of the tests' own"
    need pgrep procps "finds the processes of the tests' own database"
    ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || need libfaketime libfaketime "sets the gateway's clock in the tests"
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || have initdb || need initdb postgresql "the second database in the tests"
}

fuzz_set() {
    build_set
    need c++ g++ "compiles libFuzzer, which is C++"
}

set=${1:-}
case $set in
build | demo | lint | test | fuzz) ;;
*) fail "say which set: sh tests/setup.sh build|demo|lint|test|fuzz" ;;
esac

"${set}_set"
install_packages
# Fuzzing builds the parsers alone.
[ $set = fuzz ] || npm_folder console gateway/browser xterm "shows terminals in the console's pages"
case $set in
lint)
    cargo_tool cargo-deny cargo-deny "$DENY" "checks licences, sources and forbidden crates"
    ;;
test)
    cargo_tool cargo-nextest cargo-nextest "$NEXTEST" "runs the tests, each in a process of its own"
    npm_folder player tests/player asciinema-player "plays our recordings in the tests"
    npm_folder browser tests/browser "playwright-core, axe-core" "look at the console in the tests"
    ssh_clients
    log_verifiers
    object_store
    mail_server
    ;;
esac
