"""What a daemon is at one moment, again and again: memory, descriptors, threads, spool, losses, processor time.

How long it took from a command's start to its record is taken from the records of the shots (`load`), of which each has
a connection of its own: from right before its execve until the record was made.
"""
import contextlib
import json
import os
import time

from lib import cpu
from lib.latency import nanoseconds

EVERY_S = 10
WAIT_MAX_NS = 60 * 10**9


class Samples:
    def __init__(self, daemon, load):
        self.daemon, self.load = daemon, load
        self.all = []
        self.begun = time.monotonic()
        self.before = (0, 0)
        # Where each segment has been read up to.
        self.read = {}
        self.take()

    def take(self):
        status, spent, memory = self.daemon.status(), cpu.of([self.daemon.pid]), self.daemon.memory()
        execs = status["counts"]["execs"]
        records, waits = self.records()
        self.all.append({
            "s": time.monotonic() - self.begun, "rss_kib": memory["Rss"], "anonymous_kib": memory["Anonymous"],
            "peak_kib": memory["VmHWM"], "descriptors": self.count("fd"), "threads": self.count("task"),
            "spool_bytes": self.spool_bytes(), "losses": status["losses"], "execs": execs,
            "incidents": status["counts"]["incidents"], "open": status["engine"]["incidents_open"],
            "processes": status["engine"]["processes"], "sent": sum(one["sent"] for one in status["deliver"]),
            "new": execs - self.before[0], "ns": spent - self.before[1], "records": records, "waits_ns": waits,
        })
        self.before = (execs, spent)

    def count(self, folder):
        return len(os.listdir(f"/proc/{self.daemon.pid}/{folder}"))

    def spool_bytes(self):
        """What the spool's files take up; what is dropped meanwhile does not count."""
        total = 0
        for entry in os.scandir(self.daemon.spool):
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat().st_size
        return total

    def records(self):
        """How many records are new, and how long those of shots took."""
        count, waits = 0, []
        for name in sorted(os.listdir(self.daemon.spool)):
            if not name.startswith("findings-"):
                continue
            # A segment that is dropped in this moment was read ten seconds ago.
            with contextlib.suppress(FileNotFoundError), open(os.path.join(self.daemon.spool, name), "rb") as file:
                file.seek(self.read.get(name, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self.read[name] = self.read.get(name, 0) + len(line)
                    count += 1
                    if (wait := self.wait(json.loads(line)["finding"])) is not None:
                        waits.append(wait)
        return count, waits

    def wait(self, finding):
        for connection in finding.get("connections", []):
            made = nanoseconds(finding["createTime"])
            at = self.load.shots.get(connection.get("sourcePort"))
            # Much later it is somebody else's, on the same port.
            if at is not None and at < made < at + WAIT_MAX_NS:
                del self.load.shots[connection["sourcePort"]]
                return made - at
        return None

    def until(self, over):
        """Takes one each ten seconds until it is over; raises where the daemon ends."""
        after = time.monotonic()
        while not over():
            if self.daemon.process.poll() is not None:
                raise RuntimeError(f"the daemon ended by itself, with {self.daemon.process.returncode}")
            # Where it was itself held up for long, nothing is made up for.
            after = max(after + EVERY_S, time.monotonic())
            time.sleep(max(0, after - time.monotonic()))
            self.take()
