#!/usr/bin/env bash
# Runs the whole test suite, on a machine that has Rust and a C compiler. Arguments go to `cargo test`:
#
#   ./tests/run.sh                       everything but the tests in a browser
#   ./tests/run.sh --browser             these too: installs Chromium and its driver
#   ./tests/run.sh --test servers        one test binary
#
# The tests start PostgreSQL, MariaDB and PgBouncer themselves, from the installed programs. What is missing is
# installed here where that is possible. REGISTRY_TEST_POSTGRES_URL and REGISTRY_TEST_MYSQL_URL name
# running servers to use instead; their users must be allowed to create databases.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The places in which the tests look too (tests/support/programs.rs).
has_server() {
    local folder
    has "$1" && return
    for folder in /usr/lib/postgresql/*/bin /usr/sbin /usr/libexec /usr/local/sbin \
        /opt/homebrew/opt/*/bin /usr/local/opt/*/bin; do
        [ -x "$folder/$1" ] && return
    done
    return 1
}

install() {
    local elevate=()
    if ! has apt-get; then
        die "these tests need $*. With Homebrew: brew install postgresql mariadb pgbouncer sqlite util-linux. Elsewhere, install the packages that have initdb, postgres, psql, mariadb-install-db, mariadbd, mariadb, pgbouncer, sqlite3 and setsid. Or name running servers in REGISTRY_TEST_POSTGRES_URL and REGISTRY_TEST_MYSQL_URL."
    fi
    if [ "$(id -u)" -ne 0 ]; then
        has sudo && sudo -n true 2>/dev/null ||
            die "these tests need $*, and this user may not install it. Run: sudo apt-get install $*"
        elevate=(sudo -n)
    fi
    say "installing $*"
    ${elevate[@]+"${elevate[@]}"} apt-get update -q
    # In runlevel 1 no package starts its service: the tests bring their own.
    ${elevate[@]+"${elevate[@]}"} env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -q --no-install-recommends "$@"
}

browser=
if [ "${1:-}" = --browser ]; then
    browser=yes
    shift
fi

has cargo || die "these tests need Rust: see https://rustup.rs"
has cc || has gcc || has clang ||
    die "these tests need a C compiler, for the bundled SQLite. Debian: apt-get install gcc libc6-dev. macOS: xcode-select --install"

missing=()
# Poolers are started by the tests before PostgreSQL, wherever that is.
has_server pgbouncer || missing+=(pgbouncer)
if [ -z "${REGISTRY_TEST_POSTGRES_URL:-}" ]; then
    has_server initdb && has_server postgres && has_server pg_basebackup || missing+=(postgresql)
fi
# A test has PostgreSQL speak German, and compiles the locale for it. Elsewhere it comes with the system.
if [ "$(uname)" = Linux ]; then
    has localedef && [ -e /usr/share/i18n/locales/de_DE ] || missing+=(locales)
fi
if [ -z "${REGISTRY_TEST_MYSQL_URL:-}" ]; then
    has_server mariadb-install-db && has_server mariadbd || missing+=(mariadb-server)
fi
# The command line opens the clients, which need not come with the servers.
has psql || missing+=(postgresql-client)
has mariadb || missing+=(mariadb-client)
has sqlite3 || missing+=(sqlite3)
if [ -n "$browser" ]; then
    has chromium || missing+=(chromium)
    has chromedriver || missing+=(chromium-driver)
fi
[ ${#missing[@]} -eq 0 ] || install "${missing[@]}"

say "tests, every backend"
cargo test --workspace --all-features "$@"

# Arguments choose tests by name, and those may not be in this binary.
if [ $# -eq 0 ]; then
    # What the compiler says to a program with one backend differs from what it says with several.
    say "compiler messages, SQLite alone"
    cargo test -p registry-core --features sqlite --test ui
    say "compiler messages, a crate of tables"
    cargo test -p registry-core --test ui
fi

if [ -n "$browser" ]; then
    say "the page about the databases, in a browser"
    cargo test -p registry --all-features --test dashboard -- --ignored
    say "all tests passed"
else
    say "all tests passed, except for those in a browser, which were left out: ./tests/run.sh --browser"
fi
