"""Asks every query of conf/fleet of one engine, and prints the rows as JSON: {"01-first-seen-peer": [[...], ...], ...}.

    ask.py clickhouse DIRECTORY SPOOLS COPIES
    ask.py duckdb - SPOOLS COPIES

SPOOLS and COPIES are globs of segments. COPIES are lines that arrive a second time. ClickHouse gets them first and in
another order, in several inserts.
"""

import json
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benches" / "fleet"))
import engines  # noqa: E402


def main():
    name, directory, spools, copies = sys.argv[1:]
    if name == "clickhouse":
        engine = engines.ClickHouse(directory)
        engine.load(copies, order="ORDER BY cityHash64(line)")
        engine.load(spools, order="ORDER BY cityHash64(line, 'once more')")
        prefix, final = "tetherd.", " FINAL"
    else:
        engine = engines.DuckDb()
        engine.load([spools, copies])
        prefix, final = "", ""
    answers = {query: engine.ask(text) for query, text in engines.queries(name)}
    answers["rejects"] = engine.ask(f"SELECT count(*) FROM {prefix}rejects")
    answers["records"] = engine.ask(f"SELECT count(*) FROM {prefix}records{final}")
    answers["empty columns"] = [
        f"{table}.{column}" for table in ("records", "findings") for column in engine.empty(table) if column != "origin"
    ]
    if name == "duckdb":
        engine.keep()
        answers["kept"] = {query: engine.ask(text) for query, text in engines.queries(name)}
    json.dump(answers, sys.stdout)


main()
