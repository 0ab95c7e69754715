"""What listening costs: storms of execs beside each listener, in turns.

In each round every listener is started, bears each storm once, and is stopped. A slowdown is the ratio of the storm's
time to its time beside nobody in the same round. The listener's own time and the storm's own time (which grows when
somebody reads the /proc of its processes, because the dying process frees what that allocated) are exact.
"""
import statistics

from lib import auditd, cpu, listeners, sample
from lib.storm import Storm
from lib.table import table

TITLE = "Cost of listening"
FULL = {"rounds": 7, "execs": 4000, "tied": 2000, "modes": "off,notify,hold"}
QUICK = {"rounds": 2, "execs": 300, "tied": 150, "modes": "off,notify,hold"}


def plain(programs, execs):
    """Storms of commands that hang on nothing."""
    return {
        "serial": Storm(programs, execs),
        "parallel": Storm(programs, execs, width=4),
        # No name that is watched: with `hold` it is ignored after a while.
        "unwatched": Storm(programs, execs, command=("/usr/bin/mountpoint", "-q", "/")),
    }


def storms(programs, want):
    tied, command = want["tied"], ("/usr/bin/id",)
    return {
        **plain(programs, want["execs"]),
        "pipes": Storm(programs, tied, form="pipe", command=command),
        "relayed": Storm(programs, tied, form="relay", command=command),
        "sockets": Storm(programs, tied, form="tcp", command=command),
    }


def measure(place, want):
    found, lacking = listeners.peers()
    # "nobody" is what all are compared with; a second nobody at the end of the round shows the noise.
    everyone = [listeners.Nobody("nobody"), *listeners.tetherds(want["modes"].split(",")), *found,
                *listeners.floors(place.programs), listeners.Nobody("nobody, a second time (noise)")]
    kinds = storms(place.programs, want)
    data = {one.name: {kind: {"wall": [], "own": [], "threads": [], "storm": []} for kind in kinds} for one in everyone}
    waits = {}
    with auditd.spared():
        kinds["serial"].run()
        for number in range(want["rounds"]):
            for one in everyone:
                place.say(f"cost: round {number + 1} of {want['rounds']}, {one.name}")
                with one.listening(place.folder):
                    for kind, storm in kinds.items():
                        before = cpu.by_name(one.pids)
                        wall, own = storm.run()
                        values = data[one.name][kind]
                        values["wall"].append(wall)
                        values["storm"].append(own)
                        spent = cpu.by_name(one.pids) - before
                        values["own"].append(spent.total() / storm.count)
                        values["threads"].append({name: ns / storm.count for name, ns in spent.items()})
                    waits[one.name] = one.waits()
    return {"ns_an_exec": data, "waits": waits, "lacking": lacking}, show(data, waits, lacking, kinds, want)


def show(data, waits, lacking, kinds, want):
    text = (f"{want['rounds']} rounds; {want['execs']} execs of /bin/true one after another (serial) and four at a "
            f"time (parallel), and of /usr/bin/mountpoint, which is not watched; {want['tied']} of /usr/bin/id on pipes, "
            f"on a pipe to a relay (with a connection to elsewhere), and on one TCP connection. "
            f"Median (lowest to highest).\n")
    alone = data["nobody"]
    base = {kind: statistics.median(alone[kind]["wall"]) / 1000 for kind in kinds}
    text += "Beside nobody one exec takes " + ", ".join(f"{us:.0f} us ({kind})" for kind, us in base.items()) + ".\n"
    names = [name for name in data if name != "nobody"]
    head = ["listener", *kinds]

    def rows(cell, of=names):
        return [[name, *(cell(name, kind) for kind in kinds)] for name in of]

    def slowdown(name, kind):
        return sample.percent([a / b for a, b in zip(data[name][kind]["wall"], alone[kind]["wall"])])

    def own(name, kind):
        return sample.plain([ns / 1000 for ns in data[name][kind]["own"]], "us")

    def more(name, kind):
        return sample.plain([(a - b) / 1000 for a, b in zip(data[name][kind]["storm"], alone[kind]["storm"])], "us")

    text += "\nSlowdown of the storm:\n\n" + table(head, rows(slowdown))
    text += "\nThe listener's own processor time for one exec:\n\n" + table(head, rows(own, names[:-1]))
    text += "\nProcessor time that the storm itself pays more for one exec:\n\n" + table(head, rows(more))
    for name, wait in waits.items():
        if wait:
            text += (f"\nWith {name} an exec waited for {wait['p50']} us in the median, {wait['p99']} us at the 99th "
                     f"percentile (each to the next power of two), {wait['max']} us at most.\n")
    if lacking:
        text += f"\nNot here, or in use: {', '.join(lacking)}.\n"
    return text
