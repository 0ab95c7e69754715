"""The attacker's side and the reader of the spool in the virtual machine; and as much of a kubelet as a pod needs.

listen PORT SECONDS: takes one connection on 127.0.0.1:PORT, has `id` run, prints the answer, waits for the record of it.
record PORT CASE SPOOL: prints the newest record about that port.
keep PORT ORDERS: takes one connection and hands on each line that comes out of the FIFO ORDERS, until nobody holds that open.
newest SECONDS WORD...: waits for a record whose line has all these words; of the newest prints name, Sequence, Process_Count,
    state, and how many names those have that have the first word.
number POINTER: what the daemon says of itself (as `tetherd status --json`, which needs a configuration that is right), by a JSON
    pointer.
pod SOCKET IMAGE PARENT NAME COMMAND...: runs a pod through a CRI socket (with curl), in a cgroup parent; prints its ids.
"""

import glob
import json
import socket
import subprocess
import sys
import time

SPOOL = "/var/lib/tetherd/spool"


def records(spool, port):
    """All records about a peer's port, oldest first; a line that is still being written is none."""
    found = []
    for path in sorted(glob.glob(spool + "/findings-*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n") or f'"destinationPort":{port}' not in line:
                    continue
                record = json.loads(line)
                if any(c.get("destinationPort") == port for c in record["finding"].get("connections", [])):
                    found.append(record)
    return found


def wait(seconds, ready):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = ready()
        if value:
            return value
        time.sleep(0.1)
    return None


def listen(port, seconds):
    server = socket.create_server(("127.0.0.1", port))
    server.settimeout(seconds)
    connection, _ = server.accept()
    connection.settimeout(seconds)
    print("connected", flush=True)
    connection.sendall(b"id; echo done-$((40 + 2))\n")
    answer = b""
    while b"done-42" not in answer:
        part = connection.recv(4096)
        if not part:
            break
        answer += part
    print(answer.decode(errors="replace"))
    if b"uid=" not in answer:
        sys.exit("no answer of id")
    if not wait(20, lambda: records(SPOOL, port)):
        sys.exit("no record")
    connection.sendall(b"exit\n")
    connection.close()
    server.close()
    wait(5, lambda: records(SPOOL, port)[-1]["finding"]["state"] == "INACTIVE")


def record(port, name, spool):
    found = records(spool, port)
    # Only ever one finding: a second one would be somebody else taken for it.
    names = sorted({entry["finding"]["name"] for entry in found})
    print(f"fact {name} findings {len(names)}")
    print(f"record {name} {json.dumps(found[-1])}", flush=True)


def keep(port, orders):
    # Waits for whoever writes them.
    with open(orders, "rb") as lines:
        server = socket.create_server(("127.0.0.1", port))
        connection, _ = server.accept()
        for line in lines:
            connection.sendall(line)


def newest(seconds, words):
    """Words are of the line as the spool has it."""
    def ready():
        lines = []
        for path in sorted(glob.glob(SPOOL + "/findings-*.jsonl")):
            with open(path, encoding="utf-8") as file:
                lines += [line for line in file if line.endswith("\n") and words[0] in line]
        found = [json.loads(line) for line in lines if all(word in line for word in words)]
        return found and (found[-1], len({json.loads(line)["finding"]["name"] for line in lines}))

    found = wait(seconds, ready)
    if not found:
        sys.exit(f"no record with {words}")
    finding, names = found[0]["finding"], found[1]
    properties = finding["sourceProperties"]
    print(finding["name"].rsplit("/")[-1], properties["Sequence"], properties.get("Process_Count", 0), finding["state"], names)


def number(pointer):
    with socket.socket(socket.AF_UNIX) as control:
        control.connect("/run/tetherd/control.sock")
        control.sendall(b"status\n")
        value = json.loads(b"".join(iter(lambda: control.recv(65536), b"")))
    for name in pointer.strip("/").split("/"):
        value = value[int(name) if isinstance(value, list) else name]
    print(value)


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """A field of a protocol buffer: a text, a message or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def call(sock, method, message):
    """A call of runtime.v1 (cri-api's api.proto); the first text of the answer."""
    with open("/tmp/cri.in", "wb") as file:
        file.write(b"\0" + len(message).to_bytes(4, "big") + message)
    subprocess.run(
        ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--unix-socket", sock, "--header",
         "content-type: application/grpc", "--header", "te: trailers", "--data-binary", "@/tmp/cri.in", "--output",
         "/tmp/cri.out", "--dump-header", "/tmp/cri.headers",
         "http://localhost/runtime.v1.RuntimeService/" + method],
        check=True,
    )
    headers = open("/tmp/cri.headers", encoding="utf-8", errors="replace").read()
    if "grpc-status: 0" not in headers:
        sys.exit(method + ": " + headers)
    answer = open("/tmp/cri.out", "rb").read()[5:]
    return answer[2:2 + answer[1]].decode() if answer else ""


def pod(sock, image, parent, name, command):
    uid = "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc"
    metadata = field(1, name) + field(2, uid) + field(3, "shop")
    # The node's network: namespace option NODE.
    linux = field(1, parent) + field(2, field(1, field(1, 2)))

    def label(key, value):
        return field(6, field(1, key) + field(2, value))

    config = (field(1, metadata) + field(3, "/tmp/logs") + label("io.kubernetes.pod.name", name)
              + label("io.kubernetes.pod.namespace", "shop") + field(8, linux))
    sandbox = call(sock, "RunPodSandbox", field(1, config))
    words = b"".join(field(3, word) for word in command)
    container = field(1, field(1, "app")) + field(2, field(1, image)) + words + field(11, "app.log")
    ident = call(sock, "CreateContainer", field(1, sandbox) + field(2, container) + field(3, config))
    call(sock, "StartContainer", field(1, ident))
    print(f"fact {name} container {ident}\nfact {name} sandbox {sandbox}", flush=True)


if __name__ == "__main__":
    kind, arguments = sys.argv[1], sys.argv[2:]
    if kind == "listen":
        listen(int(arguments[0]), int(arguments[1]))
    elif kind == "keep":
        keep(int(arguments[0]), arguments[1])
    elif kind == "newest":
        newest(float(arguments[0]), arguments[1:])
    elif kind == "number":
        number(arguments[0])
    elif kind == "record":
        record(int(arguments[0]), arguments[1], arguments[2])
    else:
        pod(*arguments[:4], arguments[4:])
