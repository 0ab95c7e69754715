"""The two engines that the fleet's SQL is run on, in this process: ClickHouse as chdb, and DuckDB.

Owns: making the tables of conf/fleet, loading spools, asking the queries. Must not own: what is asked for (tests/fleet/ask.py,
benches/fleet/run).
"""

import pathlib

CONF = pathlib.Path(__file__).resolve().parents[2] / "conf" / "fleet"

# When a line arrived, as if that had been when it was made; now, where it does not say.
AS_MADE = "coalesce(parseDateTime64BestEffortOrNull(JSONExtractString(line, 'finding', 'createTime'), 3, 'UTC'), now64(3))"


def queries(engine):
    """Name and text of each query, in order."""
    return [(path.stem, path.read_text()) for path in sorted((CONF / engine / "queries").glob("*.sql"))]


class ClickHouse:
    """A ClickHouse of its own in `directory`."""

    name = "clickhouse"

    def __init__(self, directory):
        from chdb import session

        self.session = session.Session(str(directory))
        self.session.query((CONF / "clickhouse" / "schema.sql").read_text())

    def load(self, files, received=AS_MADE, order=""):
        """Lines of the files into `arrivals`, as a forwarder would hand them in."""
        self.session.query(
            f"INSERT INTO tetherd.arrivals (line, received) SELECT line, {received} "
            f"FROM file('{files}', LineAsString, 'line String') {order}"
        )

    def ask(self, text):
        """The rows; times as seconds after 1970."""
        import json

        settings = "date_time_output_format = 'unix_timestamp', output_format_json_quote_64bit_integers = 0"
        answer = json.loads(str(self.session.query(text.rstrip().rstrip(";") + f"\nSETTINGS {settings}", "JSONCompact")))
        times = [column["type"].startswith("DateTime") for column in answer["meta"]]
        return [[int(float(value)) if time else value for time, value in zip(times, row)] for row in answer["data"]]

    def empty(self, table):
        """The columns that no row has a value in."""
        named = f"SELECT name FROM system.columns WHERE database = 'tetherd' AND table = '{table}' ORDER BY position"
        columns = [row[0] for row in self.ask(named)]
        filled = ", ".join(f"countIf(`{column}` != defaultValueOfArgumentType(`{column}`))" for column in columns)
        counts = self.ask(f"SELECT {filled} FROM tetherd.{table}")[0]
        return [column for column, count in zip(columns, counts) if count == 0]


class DuckDb:
    """A DuckDB in memory, or in a file."""

    name = "duckdb"

    def __init__(self, file=":memory:"):
        import duckdb

        self.connection = duckdb.connect(str(file))

    def load(self, files):
        """The views over the files (a glob, or a list of them)."""
        globs = [files] if isinstance(files, str) else files
        listed = ", ".join(f"'{one}'" for one in globs)
        self.connection.execute(f"SET VARIABLE spool = [{listed}]")
        self.connection.execute((CONF / "duckdb" / "views.sql").read_text())

    def keep(self):
        """Everything into tables."""
        self.connection.execute((CONF / "duckdb" / "keep.sql").read_text())

    def ask(self, text):
        """The rows; times as seconds after 1970."""
        return [[seconds(value) for value in row] for row in self.connection.execute(text).fetchall()]

    def empty(self, table):
        """The columns that no row has a value in."""
        columns = [row[0] for row in self.connection.execute(f"DESCRIBE {table}").fetchall()]
        empty = "('', '0', '[]', '{}')"
        filled = ", ".join(f'count(*) FILTER (CAST("{column}" AS VARCHAR) NOT IN {empty})' for column in columns)
        counts = self.ask(f"SELECT {filled} FROM {table}")[0]
        return [column for column, count in zip(columns, counts) if count == 0]


def seconds(value):
    """A time as whole seconds after 1970, anything else as it is. DuckDB's times have no zone, and are in UTC."""
    import datetime

    return int(value.replace(tzinfo=datetime.timezone.utc).timestamp()) if isinstance(value, datetime.datetime) else value
