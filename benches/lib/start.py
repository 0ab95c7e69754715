"""From the start of the program until it says that it listens, on an empty spool and on a large one."""
import os
import subprocess
import threading
import time

from lib import child, sample, spool
from lib.daemon import Daemon
from lib.shots import Shots
from lib.table import table

TITLE = "Start"
FULL = {"times": 20, "mib": 200}
QUICK = {"times": 3, "mib": 10}


def once(daemon):
    """Milliseconds."""
    began = time.monotonic_ns()
    process = subprocess.Popen(daemon.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for line in process.stderr:
            if line.rstrip().endswith(b"tetherd: ready"):
                return (time.monotonic_ns() - began) / 1e6
        raise RuntimeError("tetherd did not start")
    finally:
        threading.Thread(target=process.stderr.read, daemon=True).start()
        child.stop(process)


def a_record(place):
    """One real record, for a spool to be made of."""
    with Daemon(place.new("start")).running() as daemon:
        Shots(place.programs, 20, 20, "/usr/bin/id").run()
        return next(record for record in daemon.records() if record["finding"].get("processes"))


def measure(place, want):
    place.say("start")
    empty, full = Daemon(place.new("start")), Daemon(place.new("start"))
    count = spool.fill(full.spool, a_record(place), want["mib"] << 20)
    data = {"empty": [], "full": [], "records": count}
    for _ in range(want["times"]):
        data["full"].append(once(full))
        data["empty"].append(once(empty))
        for name in os.listdir(empty.spool):
            os.unlink(os.path.join(empty.spool, name))
    rows = [[name, sample.plain(values, "ms")] for name, values in
            [("empty", data["empty"]), (f"{want['mib']} MiB, {count} records", data["full"])]]
    return data, f"{want['times']} times. Median (lowest to highest).\n\n" + table(["spool", "until it listens"], rows)
