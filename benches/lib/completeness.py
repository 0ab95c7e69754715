"""What is heard of all that runs: by count, from `tetherd status` and from the records.

Two storms at the same time whose commands have nothing on their descriptors: an exec is heard when it is counted, and
what was lost is counted by cause. Then commands that end at once, all on one TCP connection: how many processes the
incident's last record counts, and how many of those were seen while they lived. Last, such commands in two rows at the
same time, each with an argument of its own, on so many connections that every one of them is listed in a record: how many
of the arguments are there.
"""
import collections
import concurrent.futures
import time

from lib.daemon import Daemon
from lib.storm import Storm
from lib.table import table

TITLE = "Completeness"
FULL = {"storms": 2, "execs": 5000, "tethered": "1000,10000", "widths": "8,16", "modes": "off,hold", "arguments": 10000}
QUICK = {"storms": 2, "execs": 300, "tethered": "200", "widths": "8,16", "modes": "off,hold", "arguments": 400}
SETTLE_S = 30
# Fewer than one record lists.
ON_ONE = 25


def difference(after, before):
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def plain(place, want):
    with Daemon(place.new("completeness")).running() as daemon:
        before = settled(daemon)
        storms = [Storm(place.programs, want["execs"], numbered=True) for _ in range(want["storms"])]
        started = [storm.start() for storm in storms]
        for storm, process in zip(storms, started):
            storm.end(process)
        after = settled(daemon)
    return {"started": want["storms"] * want["execs"], "counts": difference(after["counts"], before["counts"]),
            "lost": difference(after["losses"], before["losses"])}


def settled(daemon):
    """The status when the count of execs, less the ones that ask for it, does not move any more."""
    last, end = daemon.status(), time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        time.sleep(0.5)
        now = daemon.status()
        if now["counts"]["execs"] - last["counts"]["execs"] <= 1:
            return now
        last = now
    return last


def tethered(place, count, width, mode):
    with Daemon(place.new("completeness"), ("--fanotify", mode)).running() as daemon:
        before = settled(daemon)
        program = place.programs.path("nothing")
        Storm(place.programs, count, width=width, form="tcp", command=(program,)).run()
        records = last_records(daemon, program)
        after = settled(daemon)
    newest = {record["finding"]["name"]: record["finding"]["sourceProperties"] for record in records}
    seen = collections.Counter()
    for properties in newest.values():
        seen.update({how: int(n) for how, n in properties["Process_Observations"].items()})
    return {"mode": mode, "started": count, "width": width, "seen": seen, "findings": len(newest), "records": len(records),
            "processes": sum(int(properties["Process_Count"]) for properties in newest.values()),
            "lost": difference(after["losses"], before["losses"]),
            "counts": difference(after["counts"], before["counts"])}


def last_records(daemon, program):
    """The records of the program's incidents, when no more have come for a while: one a second may."""
    records, still_since, end = [], time.monotonic(), time.monotonic() + SETTLE_S
    while time.monotonic() < min(end, still_since + 3):
        now = [record for record in daemon.records()
               if record["finding"]["sourceProperties"].get("Process_Binary_Fullpath") == program]
        if len(now) != len(records):
            records, still_since = now, time.monotonic()
        time.sleep(0.5)
    return records


def arguments(place, count, mode):
    program = place.programs.path("nothing")

    def row(_number):
        for _ in range(count // 2 // ON_ONE):
            Storm(place.programs, ON_ONE, form="tcp", numbered=True, command=(program,)).run()

    with Daemon(place.new("completeness"), ("--fanotify", mode)).running() as daemon:
        before = settled(daemon)
        with concurrent.futures.ThreadPoolExecutor(2) as rows:
            list(rows.map(row, range(2)))
        records = last_records(daemon, program)
        after = settled(daemon)
    newest = {record["finding"]["name"]: record["finding"] for record in records}
    found = sum(len({process["args"][1] for process in finding["processes"] if len(process.get("args", [])) > 1})
                for finding in newest.values())
    return {"mode": mode, "started": count // 2 // ON_ONE * 2 * ON_ONE, "found": found, "findings": len(newest),
            "lost": difference(after["losses"], before["losses"])}


def measure(place, want):
    place.say("completeness: storms")
    data = {"plain": plain(place, want), "tethered": [], "arguments": []}
    for mode in want["modes"].split(","):
        for count in map(int, want["tethered"].split(",")):
            for width in map(int, want["widths"].split(",")):
                place.say(f"completeness: {count} tethered, {width} at a time, {mode}")
                data["tethered"].append(tethered(place, count, width, mode))
        place.say(f"completeness: arguments, {mode}")
        data["arguments"].append(arguments(place, want["arguments"], mode))
    return data, show(data, want)


def named(counts):
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"


def show(data, want):
    one = data["plain"]
    # The other execs are those of `tetherd status` and of whatever else the machine does.
    text = (f"{want['storms']} storms of {want['execs']} `/bin/true ARG` at the same time: "
            f"{one['counts'].get('execs', 0)} execs heard (at least {one['started']} there were), "
            f"lost: {named(one['lost'])}.\n\n")
    rows = []
    for run in data["tethered"]:
        live = sum(run["seen"].get(how, 0) for how in ("live", "held"))
        rows.append([run["mode"], run["started"], run["width"], run["processes"], f"{100 * live / run['started']:.2f} %", run["seen"].get("held", 0),
                     run["findings"], run["records"], named(run["lost"])])
    head = ["mode", "commands on one socket", "at a time", "counted in incidents", "seen live or held", "held",
            "findings", "records", "lost"]
    text += table(head, rows) + "\n"
    for run in data["arguments"]:
        text += (f"\nArguments of {run['started']} commands in two rows at the same time, {run['mode']}: "
                 f"{run['found']} are in the records of {run['findings']} findings; lost: {named(run['lost'])}.\n")
    return text
