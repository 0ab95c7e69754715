"""Reads the files of conf/fleet that the engines here do not run, with parsers of their languages: JSON, YAML, and ClickHouse's
own for SQL. Prints what is wrong.
"""

import json
import pathlib
import sys

import yaml
from chdb import session

CONF = pathlib.Path(__file__).resolve().parents[2] / "conf" / "fleet"


def check(path, sql):
    text = path.read_text()
    if path.suffix == ".json":
        json.loads(text)
    elif path.suffix == ".yaml":
        documents = list(yaml.safe_load_all(text))
        assert documents and all(documents), "an empty document"
    elif path.suffix == ".sql" and "clickhouse" in path.parts:
        for statement in filter(str.strip, text.split(";\n")):
            quoted = statement.replace("\\", "\\\\").replace("'", "\\'")
            sql.query(f"SELECT formatQuery('{quoted}')")
    else:
        return 0
    return 1


def main():
    sql, read = session.Session(sys.argv[1]), 0
    for path in sorted(path for path in CONF.rglob("*") if path.is_file()):
        try:
            read += check(path, sql)
        except Exception as error:  # noqa: BLE001 - whatever a parser says
            print(f"{path.relative_to(CONF)}: {error}")
    print(f"read {read}", file=sys.stderr)


main()
