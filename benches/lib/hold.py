"""What holding costs beside the least that could be done, in many short turns.

The differences are a few per cent of an exec, and a machine's speed changes more than that from minute to minute: so the storms
are short, everybody has a turn in each round, and each round begins with somebody else. A slowdown is the ratio to nobody's turn
in the same round.
"""
import statistics

from lib import auditd, listeners
from lib.cost import plain
from lib.table import table

TITLE = "Holding, and the least that could be done"
FULL = {"rounds": 14, "execs": 800}
QUICK = {"rounds": 2, "execs": 100}


def measure(place, want):
    program = place.programs.path("floor")
    everyone = [
        listeners.Nobody("nobody"),
        listeners.Tetherd("tetherd --fanotify hold", ("--fanotify", "hold")),
        listeners.Floor("the least that looks and answers before each exec", program, "hold"),
        listeners.Floor("the same, and the least that hears and looks", program, "hold", "look"),
        listeners.Nobody("nobody, a second time"),
    ]
    kinds = plain(place.programs, want["execs"])
    data = {one.name: {kind: [] for kind in kinds} for one in everyone}
    with auditd.spared():
        for number in range(want["rounds"]):
            place.say(f"hold: round {number + 1} of {want['rounds']}")
            first = number % len(everyone)
            for one in everyone[first:] + everyone[:first]:
                with one.listening(place.folder):
                    for kind, storm in kinds.items():
                        data[one.name][kind].append(storm.run()[0])
    return data, show(data, kinds, want)


def show(data, kinds, want):
    alone = data["nobody"]
    rows = []
    for name in list(data)[1:]:
        cells = []
        for kind in kinds:
            ratios = [(a / b - 1) * 100 for a, b in zip(data[name][kind], alone[kind])]
            low, middle, high = statistics.quantiles(ratios, n=4)
            cells.append(f"{middle:+.1f} % ({low:+.1f} to {high:+.1f})")
        rows.append([name, *cells])
    text = (f"{want['rounds']} rounds of {want['execs']} execs of each storm; beside nobody one takes "
            + ", ".join(f"{statistics.median(alone[kind]) / 1000:.0f} us ({kind})" for kind in kinds)
            + ". Median, and the middle half of the rounds.\n\n")
    return text + table(["listener", *kinds], rows)
