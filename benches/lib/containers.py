"""What a node full of containers costs: one finding, memory, start.

Findings come from the same few containers at each level, so that only what stands beside them grows; and, as another row,
each from another container, whose names and image have to be read first.
"""
import os
import shutil
import statistics
import time

from lib import cpu, sample
from lib.cells import cells
from lib.daemon import Daemon
from lib.start import once
from lib.table import table

TITLE = "Containers"
FULL = {"containers": "5,50,500", "findings": 100, "rate": 20, "rounds": 3, "starts": 10, "mode": "off"}
QUICK = {"containers": "2,10", "findings": 10, "rate": 20, "rounds": 1, "starts": 2, "mode": "off"}
SETTLE_S = 1.5


def level(place, want, count):
    found = {"few": [], "all": [], "start": []}
    few = int(want["containers"].split(",", maxsplit=1)[0])
    with cells(place.programs, place.new("cells"), count) as made:
        options = ("--fanotify", want["mode"])
        lines = f'[enrich]\ncontainerd_directories = ["{made.state}"]\n[sensor]\nsweep_seconds = 3600\n'
        daemon = Daemon(place.new("daemon"), options, lines)
        with daemon.running():
            made.shoot(few, want["rate"], few)
            time.sleep(SETTLE_S)
            found["memory"] = daemon.memory()
            for number in range(want["rounds"]):
                for kind, among in (("few", few), ("all", count)):
                    before = cpu.of([daemon.pid])
                    made.shoot(want["findings"], want["rate"], among, few + number * want["findings"])
                    time.sleep(SETTLE_S)
                    found[kind].append((cpu.of([daemon.pid]) - before) / want["findings"])
            found["memory after"] = daemon.memory()
            found["named"] = sum(bool(record["finding"].get("kubernetes")) for record in daemon.records())
            found["incidents"] = daemon.status()["counts"]["incidents"]
        other = Daemon(place.new("daemon"), options, lines)
        for _ in range(want["starts"]):
            found["start"].append(once(other))
            for name in os.listdir(other.spool):
                os.unlink(os.path.join(other.spool, name))
    return found


def measure(place, want):
    if not shutil.which("runc"):
        return {}, "Left out: there is no runc.\n"
    data = {}
    for count in map(int, want["containers"].split(",")):
        place.say(f"containers: {count}")
        data[count] = level(place, want, count)
    return {"containers": data}, show(data, want)


def show(data, want):
    mib = lambda memory, key: f"{memory[key] / 1024:.1f} MiB"
    rows, first = [], None
    for count, found in data.items():
        first = first or found
        row = [f"{count:,}"]
        for kind in ("few", "all"):
            ratio = statistics.median(found[kind]) / statistics.median(first[kind])
            row += [sample.plain([ns / 1000 for ns in found[kind]], "us"), f"{ratio:.2f}"]
        row += [mib(found["memory"], "Rss"), mib(found["memory after"], "Rss"), sample.plain(found["start"], "ms")]
        rows.append(row)
    named = ", ".join(f"{found['incidents']} incidents, {found['named']} records with a pod" for found in data.values())
    few = want["containers"].split(",")[0]
    head = ["containers", f"CPU a finding, in {few} of them", "ratio", "in all of them", "ratio", "RSS", "at the end",
            "start"]
    text = f"Mode {want['mode']}. {want['rounds']} rounds of {want['findings']} findings; {named}.\n\n"
    return text + table(head, rows)
