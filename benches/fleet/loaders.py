"""What fills the engines, each in a process of its own: they work side by side, and each one's processor time is known.

Owns: those processes. Must not own: what is loaded, and when (`run`); what an engine does (`engines`).
"""

import multiprocessing
import resource
import subprocess

import engines


class Kept(engines.DuckDb):
    """DuckDB with a table that is added to, and the views over it that keep.sql makes."""

    def load(self, files):
        super().load(files)
        made = self.connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'kept_records'")
        if made.fetchone()[0] == 0:
            self.connection.execute("CREATE TABLE kept_records AS SELECT * EXCLUDE (line) FROM records")
        else:
            self.connection.execute("INSERT INTO kept_records SELECT * EXCLUDE (line) FROM records")

    def finish(self):
        keep = (engines.CONF / "duckdb" / "keep.sql").read_text()
        self.connection.execute("CREATE OR REPLACE TEMP VIEW records AS SELECT * FROM kept_records")
        self.connection.execute(keep[keep.index("CREATE OR REPLACE TABLE kept_findings") :])


class Loader:
    """An engine that loads, in a process of its own. Processor time is in seconds."""

    def __init__(self, kind, place):
        context = multiprocessing.get_context("spawn")
        self.orders, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(kind, place, theirs))
        self.process.start()

    def load(self, files):
        """Begins to load these files; `wait` says when that is done."""
        self.orders.send(files)

    def wait(self):
        """Until what was begun is done; the processor time of all so far. EOFError where the process has failed."""
        return self.orders.recv()

    def end(self):
        self.orders.send(None)
        self.process.join()


def work(kind, place, orders):
    engine = kind(place)
    while (files := orders.recv()) is not None:
        engine.load(files)
        used = resource.getrusage(resource.RUSAGE_SELF)
        orders.send(used.ru_utime + used.ru_stime)
    if kind is Kept:
        engine.connection.close()


class Writer:
    """The program that writes spools of some nodes, for as long as it runs."""

    def __init__(self, command, folder):
        self.folder, self.process = folder, subprocess.Popen([str(word) for word in [*command, "--out", folder]])

    def wait(self):
        """Until it has ended; CalledProcessError where it failed."""
        if self.process.wait() != 0:
            raise subprocess.CalledProcessError(self.process.returncode, self.process.args)
