#!/bin/sh
# Makes target/test-tools/chart-venv: a Python environment with the schemas of Kubernetes' objects, for tests/chart.rs. Does
# nothing where it is there already.
set -eu

. "$(dirname "$0")/venv"
make_venv chart-venv "kubernetes-validate>=1.33,<2 jsonschema>=4,<5 pyyaml>=6,<7"
