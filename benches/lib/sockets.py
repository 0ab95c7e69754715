"""Idle TCP connections over loopback, both ends in this process, or in one that is nobody's relative.

As a program: `sockets.py COUNT` says "ready" and keeps them until its standard input ends.
"""
import contextlib
import resource
import socket
import struct
import subprocess
import sys


def allow_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextlib.contextmanager
def sockets(count):
    """`count` sockets, which are half as many connections; gives the list of the connecting ends."""
    if count + 200 > allow_descriptors():
        raise RuntimeError(f"{count} sockets are more than ulimit -n allows")
    ends = []
    try:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            for _ in range(count // 2):
                near = socket.create_connection(listener.getsockname())
                ends += [near, listener.accept()[0]]
        yield ends[::2]
    finally:
        for end in ends:
            # With a reset, nothing stays behind in TIME_WAIT.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()


@contextlib.contextmanager
def elsewhere(count):
    """The same in a process that has no relatives among those that are measured."""
    command = ["setsid", "--fork", sys.executable, __file__, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{count} sockets could not be made")
        yield
    finally:
        process.stdin.close()
        process.stdout.read()
        process.wait()


if __name__ == "__main__":
    with sockets(int(sys.argv[1])):
        print("ready", flush=True)
        sys.stdin.read()
