#!/bin/sh
# Makes target/test-tools/html-venv: a Python environment with the HTML parser that tests/cli/page.py needs.
# Does nothing where it is there already. Run from anywhere; tests/run calls it.
set -eu

cd "$(dirname "$0")/../.."
venv=target/test-tools/html-venv
packages="html5lib>=1.1,<2"
stamp=$venv/packages

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$packages" ]; then
    exit 0
fi
mkdir -p target/test-tools
python3 -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet "$packages"
printf '%s' "$packages" > "$stamp"
