"""How long it takes from an exec to the first record's arrival at each kind of destination.

One daemon has them all at once, each with a receiver of its own that notes when which bytes came. The clock starts in the new
process itself, right before execve (benches/shots.c prints that time), so everything is part of it: the look, the record, its
sync, and the way. Arrivals are told by the name of the finding in the bytes.
"""
import os
import socket
import ssl
import threading
import time

from lib import sample
from lib.daemon import Daemon
from lib.deliver import DESTINATIONS, certify
from lib.latency import GRACE_S, told
from lib.shots import Shots
from lib.table import table

TITLE = "Exec to arrival"
FULL = {"shots": 300, "rate": 10, "command": "/usr/bin/id"}
QUICK = {"shots": 30, "rate": 10, "command": "/usr/bin/id"}


class Receiver:
    """Takes everything that comes, and knows when each part of it came."""

    def __init__(self, transport, path):
        self.transport, self.path, self.parts = transport, path, []
        if transport == "unix-datagram":
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind(path)
        elif transport == "unix-stream":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
            self.socket.listen(8)
        else:
            self.socket = socket.create_server(("127.0.0.1", 0))
        if transport == "tls":
            certify(path)
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(path + ".pem", path + ".key")
        threading.Thread(target=self.take, daemon=True).start()

    def address(self):
        return self.path if self.transport.startswith("unix") else f"127.0.0.1:{self.socket.getsockname()[1]}"

    def take(self):
        while self.transport == "unix-datagram":
            self.note(self.socket.recv(1 << 20))
        while True:
            connection, _ = self.socket.accept()
            if self.transport == "tls":
                connection = self.context.wrap_socket(connection, server_side=True)
            while part := connection.recv(1 << 20):
                self.note(part)
            connection.close()

    def note(self, part):
        self.parts.append((time.time_ns(), part))

    def arrivals(self, names):
        """When each of these words came first, in ns."""
        whole, ends = bytearray(), []
        for at, part in self.parts:
            whole += part
            ends.append((len(whole), at))
        found, begin = {}, 0
        places = sorted((place, name) for name in names if (place := whole.find(name.encode())) >= 0)
        for place, name in places:
            while ends[begin][0] < place + len(name):
                begin += 1
            found[name] = ends[begin][1]
        return found


def measure(place, want):
    folder = place.new("arrival")
    os.makedirs(folder)
    receivers, lines = {}, ""
    for number, (name, transport, form, more) in enumerate(DESTINATIONS):
        receiver = receivers[name] = Receiver(transport, os.path.join(folder, f"sink-{number}"))
        lines += (f'[[deliver]]\nname = "to-{number}"\ntransport = "{transport}"\naddress = "{receiver.address()}"\n'
                  f'format = "{form}"\n{more}' + (f'ca = "{receiver.path}.pem"\n' if transport == "tls" else ""))
    place.say("arrival: all destinations at once")
    with Daemon(folder, (), lines).running() as daemon:
        with Shots(place.programs, want["shots"], want["rate"], want["command"]).running() as process:
            started = {int(port): int(at) for port, at in (line.split() for line in process.stdout)}
        time.sleep(GRACE_S)
        made = {}
        for record in daemon.records():
            finding = record["finding"]
            port, times = told(finding) or (None, None)
            if port in started:
                made.setdefault(finding["name"].rsplit("/", 1)[1], (port, times["createTime"]))
    data = {"started": len(started), "record made": [at - started[port] for port, at in made.values()]}
    for name, receiver in receivers.items():
        data[name] = [at - started[made[word][0]] for word, at in receiver.arrivals(made).items()]
    return data, show(data, want)


def show(data, want):
    text = (f"{want['shots']} times {want['command']}, {want['rate']} a second, each on a TCP connection of its own over loopback; "
            f"one daemon with all destinations at once, whose receivers are threads of one Python program. From right before "
            f"execve.\n\n")
    rows = []
    for name, values in data.items():
        if name != "started":
            cells = [f"{sample.percentile(values, share) / 1e6:.2f} ms" if values else "-" for share in (0.5, 0.9, 0.99, 1)]
            rows.append([name, *cells, f"{len(values)} of {data['started']}"])
    return text + table(["until", "p50", "p90", "p99", "max", "arrived"], rows)
