"""The cost of one exec event as the machine grows: processes, sockets, network namespaces, mounts, live incidents.

The daemon's own processor time for one exec: of /bin/true with nothing on its descriptors, of /usr/bin/id on a pipe that
its parent reads, which has a connection to elsewhere, of /usr/bin/id on one TCP connection, of which much more is read, and
of /usr/bin/id each time on a new connection, which is a new incident with records of its own. One daemon for all, which has done its
sweep before anything grows, and does no other: what sweeps take is another measure ("idle"). The lists of everybody's
channels that searches need now and then are not in the figures of one exec, but stand beside them: they take a third of one
per cent of a processor, or are made each 20 seconds, whatever is executed. "descriptors" are sockets of the process that
started the storms, which searches ask before others.
"""
import statistics
import time

from lib import cpu, sample
from lib.daemon import Daemon
from lib.herd import herd
from lib.memory import tethers, wait_for_incidents
from lib.mounts import mounts
from lib.sockets import elsewhere, sockets
from lib.shots import Shots
from lib.storm import Storm
from lib.table import table

TITLE = "Cost of one event as the machine grows"
FULL = {"rounds": 5, "execs": 2000, "tied": 500, "incidents": 100, "rate": 20,
        "processes": "100,1000,10000", "sockets": "100,1000,10000", "descriptors": "100,1000,10000", "namespaces": "1,10,100",
        "mounts": "10,100,1000", "tethers": "10,100,1000", "mode": "off"}
LISTS = "one list"
QUICK = {"rounds": 1, "execs": 200, "tied": 50, "incidents": 20, "rate": 20, "processes": "100,1000",
         "sockets": "100,1000", "descriptors": "100,1000", "namespaces": "1,10", "mounts": "10,100", "tethers": "5,50", "mode": "off"}


def measure(place, want):
    grow = {
        "processes": lambda count: herd(place.programs, count),
        "sockets": elsewhere,
        "descriptors": sockets,
        "namespaces": lambda count: herd(place.programs, count, netns=True),
        "mounts": lambda count: mounts(place.new("mounts"), count),
        "tethers": tethers,
    }
    kinds = {"plain": Storm(place.programs, want["execs"]),
             "relayed": Storm(place.programs, want["tied"], form="relay", command=("/usr/bin/id",)),
             "tied": Storm(place.programs, want["tied"], form="tcp", command=("/usr/bin/id",)),
             "incident": Shots(place.programs, want["incidents"], want["rate"], "/usr/bin/id")}
    levels = [(name, int(count)) for name in grow for count in want[name].split(",")]
    data = {f"{name} {count}": {kind: [] for kind in kinds} | {LISTS: []} for name, count in levels}
    options, lines = ("--fanotify", want["mode"]), "[sensor]\nsweep_seconds = 3600\n"
    with Daemon(place.new("flat"), options, lines).running() as daemon:
        kinds["plain"].run()
        for number in range(want["rounds"]):
            for name, count in levels:
                place.say(f"flat: round {number + 1} of {want['rounds']}, {count} {name}")
                with grow[name](count):
                    if name == "tethers":
                        wait_for_incidents(daemon, count)
                    settle(daemon)
                    values, began = data[f"{name} {count}"], spent(daemon)
                    for kind, storm in kinds.items():
                        before = spent(daemon)
                        storm.run()
                        after = spent(daemon)
                        values[kind].append((after["own"] - before["own"]) / storm.count)
                    made = after["lists"] - began["lists"]
                    values[LISTS].append((after["in lists"] - began["in lists"]) / made if made else None)
        sweeps = daemon.status()["counts"]["sweeps"]
    return {"ns_an_exec": data, "sweeps": sweeps}, show(data, levels, kinds, want, sweeps)


def spent(daemon):
    """Nanoseconds of processor time: in lists of everybody's channels, and everything else but telling so; and how many
    lists."""
    counts = daemon.status()["counts"]
    lists, threads = counts["channel_list_microseconds"] * 1000, cpu.by_name([daemon.pid])
    return {"own": threads.total() - threads["control"] - lists, "in lists": lists, "lists": counts["channel_lists"]}


def settle(daemon, quiet=0.05, seconds=60):
    """Until it is done with what has grown: at most this share of one processor within a second."""
    end, before = time.monotonic() + seconds, cpu.of([daemon.pid])
    while time.monotonic() < end:
        time.sleep(1)
        now = cpu.of([daemon.pid])
        if now - before < quiet * 1e9:
            return
        before = now


def show(data, levels, kinds, want, sweeps):
    rows, first = [], {}
    for name, count in levels:
        row = [name, f"{count:,}"]
        for kind in kinds:
            values = data[f"{name} {count}"][kind]
            middle = statistics.median(values)
            ratio = middle / first.setdefault((name, kind), middle)
            row += [sample.plain([ns / 1000 for ns in values], "us"), f"{ratio:.2f}"]
        lists = [ns / 1e6 for ns in data[f"{name} {count}"][LISTS] if ns is not None]
        rows.append(row + [sample.plain(lists, "ms") if lists else "-"])
    text = (f"Mode {want['mode']}. {want['rounds']} rounds of {want['execs']}, {want['tied']}, {want['tied']} and "
            f"{want['incidents']} execs. Median (lowest to highest).\n\n")
    head = ["grown", "to", "CPU an exec", "ratio", "on a relay's pipe", "ratio", "on one socket", "ratio",
            "a new incident each", "ratio", "one list"]
    text += table(head, rows)
    return text + (f"\n{sweeps - 1} more sweeps, after losses, are in the figures.\n" if sweeps > 1 else "")
