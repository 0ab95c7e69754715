"""Holds spool lines, docs/finding.schema.json and the Security Command Center v2 parser against each other.

usage: check.py SCHEMA LINES [--every-property]

Every line must parse strictly (unknown fields rejected) as ListFindingsResult of google-cloud-securitycenter and must
validate against the schema, every object of which must refuse unknown keys. With --every-property, every property that
the schema names must stand in at least one of the lines. Prints what is wrong; exit code 1 if anything is.
"""

import json
import sys

from google.cloud import securitycenter_v2
from google.protobuf import json_format
from jsonschema import Draft202012Validator

RESULT = securitycenter_v2.ListFindingsResponse.ListFindingsResult


def resolve(schema, root):
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return schema


def named(schema, root, path=""):
    """Every property of the schema, as a path from the top."""
    schema = resolve(schema, root)
    for key, below in schema.get("properties", {}).items():
        yield f"{path}/{key}"
        yield from named(below, root, f"{path}/{key}")
    if "items" in schema:
        yield from named(schema["items"], root, f"{path}/[]")


def open_objects(schema, root, path=""):
    """Objects of the schema that would let an unknown key through."""
    schema = resolve(schema, root)
    if schema.get("type") == "object":
        if "additionalProperties" not in schema or schema["additionalProperties"] is True:
            yield path or "/"
        for key, below in schema.get("properties", {}).items():
            yield from open_objects(below, root, f"{path}/{key}")
    if "items" in schema:
        yield from open_objects(schema["items"], root, f"{path}/[]")


def used(value, path=""):
    """Every key of a value, as a path from the top."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield f"{path}/{key}"
            yield from used(below, f"{path}/{key}")
    elif isinstance(value, list):
        for below in value:
            yield from used(below, f"{path}/[]")


def main():
    schema_path, lines_path, *flags = sys.argv[1:]
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    wrong = [f"{schema_path}: {path} lets unknown keys through" for path in open_objects(schema, schema)]
    seen, count = set(), 0
    with open(lines_path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            count = number
            try:
                message = json_format.Parse(line, RESULT.pb(RESULT()), ignore_unknown_fields=False)
            except json_format.ParseError as error:
                wrong.append(f"{lines_path}:{number}: refused by the SCC parser: {error}")
            else:
                # Nothing may be lost on the way through the parser: not even a value that it took for a default.
                name = json.loads(line)["finding"]["name"]
                if message.finding.name != name:
                    wrong.append(f"{lines_path}:{number}: the parser read another name: {message.finding.name}")
            value = json.loads(line)
            for error in validator.iter_errors(value):
                place = "/".join(str(part) for part in error.absolute_path)
                wrong.append(f"{lines_path}:{number}: {place}: {error.message[:300]}")
            seen.update(used(value))
    if count == 0:
        wrong.append(f"{lines_path}: no lines")
    if "--every-property" in flags:
        wrong += [f"{path}: in the schema, in no line" for path in named(schema, schema) if path not in seen]
    for sentence in wrong:
        print(sentence)
    print(f"{count} lines, {len(seen)} keys, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
