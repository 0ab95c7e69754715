"""How fast a backlog gets away: a spool of many records, and one destination at a time that takes whatever comes.

The records are those of benches/fleet, of one node, written by the daemon's own writer: that gives records a second to the disk. The
receiver is a process that reads and throws away, and ends a connection when the daemon has: what is measured is tetherd. Beside it
rsyslog's imfile on the same files, writing what it read to a file.
"""
import os
import shutil
import subprocess
import sys
import time

from lib import cargo, child, cpu, sample
from lib.daemon import Daemon
from lib.table import table

TITLE = "Delivery of a backlog"
# `only`: some of the destinations, by their names below, with a semicolon between.
FULL = {"records": 1_000_000, "rounds": 1, "imfile": 1, "only": ""}
QUICK = {"records": 20_000, "rounds": 1, "imfile": 1, "only": ""}
TIMEOUT_S = 1800

# Reads from a socket of a kind until it is ended, and throws away.
SINK = r"""
import os, socket, ssl, sys, threading
kind, address = sys.argv[1:3]
if kind in ("tcp", "tls"):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
elif kind == "unix-stream":
    listener = socket.socket(socket.AF_UNIX); listener.bind(address); listener.listen(64)
else:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); listener.bind(address)
print(listener.getsockname()[1] if kind in ("tcp", "tls") else 0, flush=True)
if kind == "tls":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(address + ".pem", address + ".key")
buffer = bytearray(1 << 20)
while kind == "unix-datagram":
    listener.recv_into(buffer)
while True:
    connection, _ = listener.accept()
    if kind == "tls":
        connection = context.wrap_socket(connection, server_side=True)
    while connection.recv_into(buffer):
        pass
    connection.close()
"""

DESTINATIONS = [
    ("tcp, scc", "tcp", "scc", ""),
    ("tcp, scc, confirm = kernel", "tcp", "scc", 'confirm = "kernel"\n'),
    ("tls, scc", "tls", "scc", ""),
    ("tcp, compact", "tcp", "compact", ""),
    ("tcp, ocsf", "tcp", "ocsf", ""),
    ("tcp, cef", "tcp", "cef", ""),
    ("unix-stream, scc", "unix-stream", "scc", ""),
    ("unix-datagram, compact", "unix-datagram", "compact", ""),
]


def generated(place, count):
    """A spool of so many records: (its directory, bytes, records a second)."""
    program = cargo.bench("fleet")
    out = place.new("fleet")
    began = time.monotonic()
    subprocess.run([program, "--out", out, "--nodes", "1", "--records", str(count)], check=True)
    took = time.monotonic() - began
    node = os.path.join(out, os.listdir(out)[0])
    size = sum(os.path.getsize(os.path.join(node, name)) for name in os.listdir(node))
    return node, size, count / took


def settled(place, spool):
    """What the daemon says of a spool that it has not seen: that many findings went on, of which nothing is left. Its own start
    and end are not what is measured."""
    daemon = Daemon(place.new("settled"), (), f"[spool]\nmax_bytes = {1 << 40}\n")
    daemon.command[daemon.command.index("--spool") + 1] = spool
    began = time.monotonic()
    daemon.start()
    try:
        newest = -1
        while newest != (now := daemon.status()["spool"]["next_sequence"]):
            newest = now
            time.sleep(2)
        return time.monotonic() - began, daemon.memory()["VmHWM"] / 1024
    finally:
        child.stop(daemon.process)


def certify(path):
    """A certificate for 127.0.0.1 that is its own authority: PATH.pem and PATH.key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=bench", "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", f"{path}.key", "-out", f"{path}.pem"],
                   check=True, stderr=subprocess.DEVNULL)


def sent(place, spool, count, transport, form, more):
    """One destination from the start to the end: seconds, seconds of processor, and the highest RSS in MiB."""
    folder = place.new("deliver")
    os.makedirs(folder)
    path = os.path.join(folder, "sink")
    if transport == "tls":
        certify(path)
        more += f'ca = "{path}.pem"\n'
    sink = child.start([sys.executable, "-c", SINK, transport, path], stdout=subprocess.PIPE, text=True)
    try:
        port = sink.stdout.readline().strip()
        address = f"127.0.0.1:{port}" if transport in ("tcp", "tls") else path
        lines = (f'[spool]\nmax_bytes = {1 << 40}\n[[deliver]]\nname = "bench"\ntransport = "{transport}"\naddress = "{address}"\n'
                 f'format = "{form}"\n{more}')
        daemon = Daemon(folder, (), lines)
        daemon.command[daemon.command.index("--spool") + 1] = spool
        began = time.monotonic()
        daemon.start()
        try:
            while True:
                status = daemon.status()["deliver"]
                mine = next(one for one in status if one["name"] == "bench")
                if mine["lag_records"] == 0 and mine["sent"] >= count:
                    break
                if time.monotonic() - began > TIMEOUT_S:
                    raise RuntimeError(f"not done: {mine}")
                time.sleep(0.1)
            took = time.monotonic() - began
            return took, cpu.of([daemon.pid]) / 1e9, daemon.memory()["VmHWM"] / 1024
        finally:
            child.stop(daemon.process)
            for name in os.listdir(spool):
                if name.startswith("cursor."):
                    os.unlink(os.path.join(spool, name))
    finally:
        child.stop(sink)


def imfile(place, spool, count):
    """The same files by rsyslog: seconds, seconds of processor, the highest RSS in MiB."""
    folder = place.new("imfile")
    os.makedirs(folder)
    out = os.path.join(folder, "out")
    with open(os.path.join(folder, "conf"), "w") as file:
        file.write(f'global(workDirectory="{folder}" maxMessageSize="64k")\nmodule(load="imfile")\n'
                   f'input(type="imfile" File="{spool}/findings-*.jsonl" Tag="tetherd:" ruleset="out")\n'
                   f'template(name="line" type="string" string="%msg%\\n")\n'
                   f'ruleset(name="out") {{ action(type="omfile" file="{out}" template="line") }}\n')
    began = time.monotonic()
    rsyslogd = child.start(["rsyslogd", "-n", "-f", os.path.join(folder, "conf"), "-i", os.path.join(folder, "pid")],
                           stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        size, lines, offset = 0, 0, 0
        while lines < count:
            if time.monotonic() - began > TIMEOUT_S:
                raise RuntimeError(f"rsyslog is not done: {lines} of {count}")
            time.sleep(0.1)
            if os.path.exists(out) and os.path.getsize(out) > size:
                size = os.path.getsize(out)
                with open(out, "rb") as file:
                    file.seek(offset)
                    while block := file.read(1 << 24):
                        lines += block.count(b"\n")
                        offset += len(block)
        took = time.monotonic() - began
        with open(f"/proc/{rsyslogd.pid}/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        return took, cpu.of([rsyslogd.pid]) / 1e9, peak / 1024
    finally:
        child.stop(rsyslogd)
        shutil.rmtree(folder, ignore_errors=True)


def measure(place, want):
    count = want["records"]
    place.say(f"deliver: {count} records are written")
    spool, size, written = generated(place, count)
    place.say("deliver: a first start")
    data = {"bytes": size, "written_a_second": written, "first_start": settled(place, spool), "seconds": {}}
    chosen = [name for name in want["only"].split(";") if name]
    ways = [(name, lambda way=way: sent(place, spool, count, *way)) for name, *way in DESTINATIONS if not chosen or name in chosen]
    if want["imfile"] and shutil.which("rsyslogd"):
        ways.append(("rsyslog's imfile to a file", lambda: imfile(place, spool, count)))
    for number in range(want["rounds"]):
        for name, run in ways:
            place.say(f"deliver: round {number + 1} of {want['rounds']}, {name}")
            data["seconds"].setdefault(name, []).append(run())
    shutil.rmtree(os.path.dirname(spool))
    rows = []
    for name, runs in data["seconds"].items():
        rows.append([name, sample.plain([count / took for took, _, _ in runs], "a second"),
                     sample.plain([used / count * 1e6 for _, used, _ in runs], "us"),
                     sample.plain([peak for _, _, peak in runs], "MiB")])
    text = (f"{count} records of {size / count:.0f} bytes, {size / (1 << 20):.0f} MiB, written by the daemon's writer in batches of a "
            f"thousand at {written:.0f} a second.\n\n")
    return data, text + table(["destination", "records", "processor for one", "highest RSS"], rows)
