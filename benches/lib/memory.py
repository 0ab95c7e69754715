"""The daemon's memory, after a sweep, as processes and live tethers grow.

RSS counts shared pages whole, PSS divides them among their users; "anonymous" is what the daemon itself allocated.
The peak is RSS too.
"""
import contextlib
import signal
import subprocess
import time

from lib.daemon import Daemon
from lib.herd import herd
from lib.sockets import sockets
from lib.table import table

TITLE = "Memory"
FULL = {"few": 1000, "many": 50000, "tethers": 1000}
QUICK = {"few": 200, "many": 2000, "tethers": 50}
TETHERED = ["/bin/sleep", "600"]


@contextlib.contextmanager
def tethers(count):
    """Live commands, each on a connection of its own."""
    with sockets(2 * count) as ends:
        started = []
        try:
            for end in ends:
                started.append(subprocess.Popen(TETHERED, stdin=end, stdout=end, stderr=end))
            yield
        finally:
            for process in started:
                process.kill()
            for process in started:
                process.wait()


def wait_for_incidents(daemon, count, seconds=60):
    """Until all are known, or no more: how many there are is in the table."""
    end = time.monotonic() + seconds
    while daemon.status()["engine"]["incidents_open"] < count and time.monotonic() < end:
        time.sleep(0.2)


def look(daemon):
    """Sweeps once more, and takes the memory when that and its work are over."""
    before = daemon.status()["counts"]["sweeps"]
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.wait_for_sweep(before)
    time.sleep(1)
    status = daemon.status()
    return {**daemon.memory(), "incidents": status["engine"]["incidents_open"], "swept": status["counts"]["swept"],
            "sweeps": status["counts"]["sweeps"]}


def measure(place, want):
    data = {}
    for name, beside in [
        (f"{want['few']} processes", herd(place.programs, want["few"])),
        (f"{want['many']} processes", herd(place.programs, want["many"])),
        (f"{want['tethers']} live tethers", None),
    ]:
        place.say(f"memory: {name}")
        with contextlib.ExitStack() as stack:
            if beside:
                stack.enter_context(beside)
            daemon = stack.enter_context(Daemon(place.new("memory")).running())
            if not beside:
                stack.enter_context(tethers(want["tethers"]))
                wait_for_incidents(daemon, want["tethers"])
            data[name] = look(daemon)
    return data, show(data)


def show(data):
    mib = lambda kilobytes: f"{kilobytes / 1024:.1f} MiB"
    rows = [[name, mib(one["Rss"]), mib(one["Pss"]), mib(one["Anonymous"]), mib(one["VmHWM"]), one["incidents"]]
            for name, one in data.items()]
    return table(["beside", "RSS", "PSS", "anonymous", "peak", "open incidents"], rows)
