#!/bin/sh
# A Python environment with the packages that tests/scc/check.py needs.
exec sh "$(dirname "$0")/venv" scc-venv "google-cloud-securitycenter>=1.48,<2" "jsonschema>=4.18,<5"
