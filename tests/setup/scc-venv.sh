#!/bin/sh
# Makes target/test-tools/scc-venv: a Python environment with the packages that tests/scc/check.py needs.
# Does nothing where it is there already. Run from anywhere; tests/run calls it.
set -eu

. "$(dirname "$0")/venv"
make_venv scc-venv "google-cloud-securitycenter>=1.48,<2 jsonschema>=4.18,<5"
