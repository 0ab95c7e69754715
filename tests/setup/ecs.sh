#!/bin/sh
# Makes target/test-tools/ecs: the Elastic Common Schema 9.4 as Elastic publishes it for TypeScript (npm's @elastic/ecs), which
# tests/formats/ecs.py holds its own list of fields against. Does nothing where it is there already; where there is no npm, or it
# cannot fetch, that list alone serves. Run from anywhere; tests/run calls it.
set -eu

cd "$(dirname "$0")/../.."
if [ -d target/test-tools/ecs/package/generated ]; then
    exit
fi
if ! command -v npm >/dev/null; then
    exit
fi
mkdir -p target/test-tools/ecs
cd target/test-tools/ecs
if archive=$(npm pack --silent @elastic/ecs@9.4.0); then
    tar -xzf "$archive"
else
    echo "npm cannot fetch @elastic/ecs: the list of its fields in tests/formats is not held against it" >&2
fi
