#!/bin/sh
# Makes target/test-tools/ecs: the Elastic Common Schema 9.4 as Elastic publishes it for TypeScript (npm's @elastic/ecs), which
# tests/formats/ecs.py reads fields and types from. Does nothing where it is there already, or where there is no npm. Run from
# anywhere; tests/run calls it.
set -eu

cd "$(dirname "$0")/../.."
if [ -d target/test-tools/ecs/package/generated ]; then
    exit
fi
if ! command -v npm >/dev/null; then
    echo "no npm: the mapping to the Elastic Common Schema is left out" >&2
    exit
fi
mkdir -p target/test-tools/ecs
cd target/test-tools/ecs
tar -xzf "$(npm pack --silent @elastic/ecs@9.4.0)"
