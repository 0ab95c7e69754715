#!/bin/sh
# Makes target/test-tools/formats-venv: a Python environment with the schema and the parsers that tests/formats/check.py
# needs: the OCSF schema 1.8.0, a parser of RFC 5424, a parser of CEF; and the parser of YAML that tests/forwarders.rs
# needs. Does nothing where it is there already. Run from anywhere; tests/run calls it.
set -eu

. "$(dirname "$0")/venv"
make_venv formats-venv \
    "ocsf-json-schema>=1.2,<2 jsonschema>=4.18,<5 syslog-rfc5424-parser>=0.3.2,<0.4 pycef>=1.11,<2 pyyaml>=6,<7"
