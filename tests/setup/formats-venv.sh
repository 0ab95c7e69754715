#!/bin/sh
# Makes target/test-tools/formats-venv: a Python environment with the schema and the parsers that tests/formats/check.py
# needs: the OCSF schema 1.8.0, a parser of RFC 5424, a parser of CEF. Does nothing where it is there already. Run from
# anywhere; tests/run calls it.
set -eu

cd "$(dirname "$0")/../.."
venv=target/test-tools/formats-venv
packages="ocsf-json-schema>=1.2,<2 jsonschema>=4.18,<5 syslog-rfc5424-parser>=0.3.2,<0.4 pycef>=1.11,<2"
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
