"""How long it takes from an exec to its record in the spool.

The clock starts in the new process itself, right before execve (the program prints that time), so the execve is part
of it. It stops four times: at the record's own eventTime, when the process was seen; at its createTime; when a reader
that waits for the spool with inotify has read the whole line; and when that reader's own fdatasync of the segment has
returned, which is an upper bound of the moment from which the record survives a power failure. It syncs only every
fifth time, because its syncs and the daemon's wait for each other. How long a sync takes on that disk by itself is
measured beforehand. The reader runs at real-time priority, or it would measure itself under a storm. Each command has
a connection of its own and is therefore an incident of its own.
"""
import ctypes
import datetime
import json
import os
import select
import struct
import time

from lib import child, sample
from lib.child import LIBC
from lib.daemon import Daemon
from lib.shots import Shots
from lib.storm import Storm
from lib.table import table

TITLE = "Exec to durable record"
FULL = {"shots": 300, "rate": 20, "command": "/usr/bin/id"}
QUICK = {"shots": 40, "rate": 20, "command": "/usr/bin/id"}
# Bounds of the storm beside it, which is stopped when the shots are over.
STORM_EXECS, STORM_WIDTH = 10_000_000, 2
GRACE_S = 3
SYNC_EVERY = 5
IN_MODIFY, IN_CREATE = 0x2, 0x100
STOPS = {"eventTime": "process seen", "createTime": "record made", "seen": "line read", "synced": "durable, at most"}


class Reader:
    """Sees new lines of the spool as soon as they are there."""

    def __init__(self, spool):
        self.spool = spool
        self.inotify = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if LIBC.inotify_add_watch(self.inotify, spool.encode(), ctypes.c_uint32(IN_MODIFY | IN_CREATE)) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self.files, self.rest, self.first = {}, {}, {}

    def wait(self, seconds):
        if select.select([self.inotify], [], [], seconds)[0]:
            events = os.read(self.inotify, 1 << 16)
            names, at = set(), 0
            while at < len(events):
                length = struct.unpack_from("iIII", events, at)[3]
                names.add(events[at + 16:at + 16 + length].rstrip(b"\0").decode())
                at += 16 + length
            for name in sorted(names):
                if name.startswith("findings-"):
                    self.take(name)

    def take(self, name):
        if name not in self.files:
            self.files[name] = os.open(os.path.join(self.spool, name), os.O_RDONLY)
        text = self.rest.get(name, b"")
        while block := os.read(self.files[name], 1 << 16):
            text += block
        *lines, self.rest[name] = text.split(b"\n")
        seen = time.time_ns()
        fresh = [found for found in map(first_record, lines) if found and found[0] not in self.first]
        for port, times in fresh:
            self.first.setdefault(port, {**times, "seen": seen})
            if len(self.first) % SYNC_EVERY == 0:
                os.fdatasync(self.files[name])
                self.first[port]["synced"] = time.time_ns()

    def close(self):
        for file in [self.inotify, *self.files.values()]:
            os.close(file)


def first_record(line):
    return told(json.loads(line)["finding"])


def told(finding):
    """The command's own port and the record's own times, in ns, of a finding's record."""
    connections = finding.get("connections")
    times = {name: nanoseconds(finding[name]) for name in ("eventTime", "createTime")}
    return (connections[0]["sourcePort"], times) if connections else None


def nanoseconds(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole + "+00:00")
    return int(moment.timestamp()) * 10**9 + int(fraction.ljust(9, "0") or 0)


def shoot(place, want, daemon):
    shots = Shots(place.programs, want["shots"], want["rate"], want["command"])
    reader, started = Reader(daemon.spool), {}
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        with shots.running() as process:
            end = time.monotonic() + want["shots"] / want["rate"] * 3 + 10
            while process.poll() is None and time.monotonic() < end:
                reader.wait(0.05)
            end = time.monotonic() + GRACE_S
            while time.monotonic() < end:
                reader.wait(0.05)
            for line in process.stdout:
                port, at = line.split()
                started[int(port)] = int(at)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        reader.close()
    found = {port: reader.first[port] for port in started if port in reader.first}
    return {"started": len(started), "recorded": len(found), "lost": daemon.status()["losses"],
            "ns": {stop: [times[stop] - started[port] for port, times in found.items() if stop in times]
                   for stop in STOPS}}


def sync_alone(place, times=50):
    """Nanoseconds that it takes to append 4 KiB to a file where the spools are, and to sync it."""
    values = []
    with open(place.new("sync"), "wb", buffering=0) as file:
        for _ in range(times):
            began = time.monotonic_ns()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            values.append(time.monotonic_ns() - began)
            time.sleep(0.02)
    return values


def measure(place, want):
    data = {}
    alone = sync_alone(place)
    for name in ["idle", "storm"]:
        place.say(f"latency: {name}")
        with Daemon(place.new("latency")).running() as daemon:
            if name == "idle":
                data[name] = shoot(place, want, daemon)
            else:
                storm = Storm(place.programs, STORM_EXECS, width=STORM_WIDTH).start()
                try:
                    data[name] = shoot(place, want, daemon)
                finally:
                    child.stop(storm)
    return {"sync_alone_ns": alone, **data}, show(data, want, alone)


def show(data, want, alone):
    text = (f"{want['shots']} times {want['command']}, {want['rate']} a second, each on a TCP connection of its own "
            f"over loopback; from right before execve until the moments below. A sync of 4 KiB by itself takes "
            f"{sample.percentile(alone, 0.5) / 1e6:.2f} ms (p50), {sample.percentile(alone, 0.99) / 1e6:.2f} ms (p99) "
            f"on that disk.\n\n")
    rows = []
    for name, one in data.items():
        for stop, values in one["ns"].items():
            cells = [f"{sample.percentile(values, share) / 1e6:.2f} ms" if values else "-"
                     for share in (0.5, 0.9, 0.99, 1)]
            beside = "nothing else" if name == "idle" else f"storm of /bin/true, {STORM_WIDTH} at a time"
            rows.append([beside, STOPS[stop], *cells, f"{one['recorded']} of {one['started']}"])
    return text + table(["meanwhile", "until", "p50", "p90", "p99", "max", "recorded"], rows)
