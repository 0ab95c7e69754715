#!/bin/sh
# Makes target/test-tools/scc-venv: a Python environment with the packages that tests/scc/check.py needs.
# Does nothing where it is there already. Run from anywhere; tests/run calls it.
set -eu

cd "$(dirname "$0")/../.."
venv=target/test-tools/scc-venv
packages="google-cloud-securitycenter>=1.48,<2 jsonschema>=4.18,<5"
stamp=$venv/packages

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$packages" ]; then
    exit 0
fi
mkdir -p target/test-tools
python3 -m venv --clear "$venv"
# The list is split on purpose.
# shellcheck disable=SC2086
"$venv/bin/python" -m pip install --quiet $packages
printf '%s' "$packages" > "$stamp"
