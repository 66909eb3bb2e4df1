# Sourced by the other scripts: makes the checkout's virtual environment and keeps it true to pyproject.toml.
# shellcheck shell=sh

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The user's own python3 first; then any that is new enough.
find_python() {
    for candidate in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed: install it (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3 $0"
}

# apt_install PACKAGE...: true if they are there afterwards. Never asks anything.
apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null; then as_root='sudo -n'; else return 1; fi
    say "Installing $* with apt-get ..."
    # shellcheck disable=SC2086 # as_root is empty or two words
    told=$(
        {
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
                $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
        } 2>&1 </dev/null
    ) || { say "$told"; return 1; }
}

# Debian ships venv without ensurepip unless python3-venv is there. Another pip on the machine can fill the gap.
new_venv() {
    python=$1
    folder=$2
    rm -rf "$folder"
    "$python" -m venv "$folder" >/dev/null 2>&1 && return
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    rm -rf "$folder"
    apt_install "python$version-venv" && "$python" -m venv "$folder" >/dev/null 2>&1 && return
    rm -rf "$folder"
    "$python" -m venv --without-pip "$folder" >/dev/null 2>&1 &&
        "$python" -m pip --python "$folder/bin/python" install --quiet pip >/dev/null 2>&1 && return
    rm -rf "$folder"
    die "$python cannot make a virtual environment: install python3-venv (Debian, Ubuntu: apt-get install python$version-venv)"
}

# ensure_venv FOLDER NAME PIP-ARGUMENT...: an environment with these installed. NAME is what the stamp is called: an
# environment is filled again only when pyproject.toml, the arguments or the place of the checkout have changed.
ensure_venv() {
    folder=$1 stamp=$1/.installed-$2
    shift 2
    wanted=$(pwd; printf '%s\n' "$@"; cat pyproject.toml)
    if [ -x "$folder/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit 1
        new_venv "$python" "$folder"
    fi
    say "Installing into $folder (once; again when pyproject.toml changes) ..."
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" ||
        die "pip could not install $*: see above"
    printf '%s\n' "$wanted" >"$stamp"
}

ensure_dev() { ensure_venv .venv dev --editable '.[dev]'; }

# What the demo needs is part of the dev extra, so a developer's environment serves as it is.
ensure_demo() {
    if [ -e .venv/.installed-dev ]; then ensure_dev; else ensure_venv .venv demo --editable '.[serve,openai,anthropic,sqlite]'; fi
}

find_chromium() {
    for candidate in "${MILLSTREAM_CHROMIUM:-chromium}" chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$candidate" && return
    done
    return 1
}

# The page's tests drive a real browser: the machine's, Debian's package, or the one that playwright fetches.
ensure_chromium() {
    MILLSTREAM_CHROMIUM=$(find_chromium) || {
        if apt_install chromium && MILLSTREAM_CHROMIUM=$(find_chromium); then :; else
            .venv/bin/python -m playwright install chromium >/dev/null 2>&1 ||
                die "The page's tests need Chromium: install it (Debian: apt-get install chromium), or name one: MILLSTREAM_CHROMIUM=/path/to/chromium $0"
            MILLSTREAM_CHROMIUM=$(.venv/bin/python -c '
from playwright.sync_api import sync_playwright
with sync_playwright() as p:
    print(p.chromium.executable_path)')
        fi
    }
    export MILLSTREAM_CHROMIUM
}

# The folder of initdb and postgres: Debian keeps them off the path, one folder a version.
find_postgres() {
    for folder in "${MILLSTREAM_POSTGRES:-}" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5,5nr); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then printf '%s\n' "$folder" && return; fi
    done
    folder=$(command -v initdb) && dirname "$(readlink -f "$folder")"
}

# The savers' tests start a Postgres of their own, from the machine's binaries or Debian's package.
ensure_postgres() {
    MILLSTREAM_POSTGRES=$(find_postgres) || {
        apt_install postgresql && MILLSTREAM_POSTGRES=$(find_postgres) ||
            die "The tests need Postgres: install it (Debian: apt-get install postgresql), or name its binaries: MILLSTREAM_POSTGRES=/path/to/bin $0"
    }
    export MILLSTREAM_POSTGRES
}

# The provider that is not ours (aimock), from npm with the node that pyright brings along.
ensure_aimock() { .venv/bin/python tests/support/aimock.py || die "The tests of the wires need aimock: see above"; }

cd "$(dirname "$0")/.." || exit 1
