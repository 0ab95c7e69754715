#!/bin/sh
# Makes target/test-tools/fleet-venv: a Python environment with the engines that tests/fleet.rs asks: ClickHouse in a
# process, and DuckDB. What chdb-core takes along for data frames is not needed. Does nothing where it is there already.
set -eu

. "$(dirname "$0")/venv"
make_venv fleet-venv "--no-deps chdb-core>=26.5,<27 duckdb>=1.4,<3 pyyaml>=6,<7"
