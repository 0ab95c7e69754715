#!/bin/sh
# Makes target/test-tools/html-venv: a Python environment with the HTML parser that tests/cli/page.py needs.
# Does nothing where it is there already. Run from anywhere; tests/run calls it.
set -eu

. "$(dirname "$0")/venv"
make_venv html-venv "html5lib>=1.1,<2"
