"""Idle TCP connections over loopback, both ends in this process."""
import contextlib
import resource
import socket
import struct


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
