#!/bin/sh
# scripts/venv.sh DIRECTORY REQUIREMENTS [PROJECT]: makes (or brings up to date) one virtual environment from a hashed
# requirement file. uv does it where uv is on PATH; elsewhere the standard library's venv and pip fetch uv first.
# PROJECT is a Python project of this checkout: it is installed besides, editable and without its dependencies.
# The files that were installed are kept beside the environment, so unchanged ones cost nothing.
set -eu
venv=$1
requirements=$2
project=${3:-}
here=$(dirname "$0")
python=${PYTHON:-python3}
export UV_SYSTEM_CERTS=true
export UV_LINK_MODE="${UV_LINK_MODE:-copy}"

say() { printf '%s\n' "$*" >&2; }

has_project() { [ -z "$project" ] || cmp -s "$project/pyproject.toml" "$venv/installed-project.toml"; }

if [ -x "$venv/bin/python" ] && cmp -s "$requirements" "$venv/installed.txt" && has_project; then
    exit 0
fi
if ! command -v "$python" >/dev/null 2>&1; then
    say "Python is missing: install Python 3.11 or newer (Debian/Ubuntu: apt-get install python3 python3-venv)."
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "Mapboard needs Python 3.11 or newer; '$python' is $("$python" -V 2>&1). Name another one with PYTHON=…"
    exit 1
fi
if [ ! -x "$venv/bin/python" ]; then
    say "Making the virtual environment $venv …"
    rm -rf "$venv"
    if ! "$python" -m venv --without-pip "$venv"; then
        say "The package with Python's venv module is missing (Debian/Ubuntu: apt-get install python3-venv)."
        exit 1
    fi
fi
if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    tools="$(dirname "$venv")/.venv-uv"
    if [ ! -x "$tools/bin/uv" ]; then
        say "uv is not on PATH: fetching it with pip into $tools …"
        if ! "$python" -m venv "$tools"; then
            say "The package with Python's ensurepip is missing (Debian/Ubuntu: apt-get install python3-venv)."
            exit 1
        fi
        "$tools/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes -r "$here/../requirements/uv.txt" || {
            say "pip could not fetch uv. Check the network and the package index (pip config list), then run this again."
            exit 1
        }
    fi
    uv="$tools/bin/uv"
fi
say "Installing $requirements into $venv …"
rm -f "$venv/installed.txt" "$venv/installed-project.toml"
"$uv" pip sync --quiet --require-hashes --python "$venv/bin/python" "$requirements" || {
    say "Installing $requirements failed. Check the network and the package index, then run this again."
    exit 1
}
cp "$requirements" "$venv/installed.txt"
if [ -n "$project" ]; then
    "$uv" pip install --quiet --no-deps --python "$venv/bin/python" --editable "$project"
    cp "$project/pyproject.toml" "$venv/installed-project.toml"
fi
