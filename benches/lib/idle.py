"""What the daemon takes while nothing happens, as processes grow: its sweeps, and everything else.

The processes sleep. CPU is by thread, so that the sweeps stand apart from what else the machine does meanwhile: execs of
others are heard as ever, and searches that they cause list everybody's channels (in "relay").
"""
import time

from lib import cpu, sample
from lib.daemon import Daemon
from lib.herd import herd
from lib.table import table

TITLE = "Idle"
FULL = {"processes": "100,1000,5000,20000", "seconds": 46, "rounds": 2, "mode": "off"}
QUICK = {"processes": "100,1000", "seconds": 16, "rounds": 1, "mode": "off"}


def once(daemon, seconds):
    """Per cent of one processor: in sweeps, in searches and second looks, in all; and milliseconds a sweep."""
    sweeps, before = daemon.status()["counts"]["sweeps"], cpu.by_name([daemon.pid])
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    after, status = cpu.by_name([daemon.pid]), daemon.status()["counts"]
    spent = {name: after[name] - before[name] for name in after}
    share = lambda ns: ns / took / 1e7
    return {"sweep": share(spent.get("sweep", 0)), "relay": share(spent.get("relay", 0)),
            "all": share(sum(spent.values())),
            "a sweep": spent.get("sweep", 0) / 1e6 / max(1, status["sweeps"] - sweeps)}


def measure(place, want):
    levels = [int(count) for count in want["processes"].split(",")]
    data = {count: [] for count in levels}
    for number in range(want["rounds"]):
        for count in levels:
            place.say(f"idle: round {number + 1} of {want['rounds']}, {count} processes")
            options = ("--fanotify", want["mode"])
            with herd(place.programs, count), Daemon(place.new("idle"), options).running() as daemon:
                # What was new to the first sweep is known to the second.
                daemon.wait_for_sweep(1)
                data[count].append(once(daemon, want["seconds"]))
    rows = [[f"{count:,}"] + [sample.plain([one[key] for one in runs], unit, digits=2)
                              for key, unit in [("a sweep", "ms"), ("sweep", "%"), ("relay", "%"), ("all", "%")]]
            for count, runs in data.items()]
    text = f"Mode {want['mode']}, {want['rounds']} rounds of {want['seconds']} s. Per cent of one processor.\n\n"
    head = ["processes", "CPU a sweep", "sweeps", "searches, second looks", "the whole daemon"]
    return {"runs": data}, text + table(head, rows)
