"""Idle processes: how many others there are on the machine."""
import contextlib
import subprocess


PID_MAX = "/proc/sys/kernel/pid_max"


@contextlib.contextmanager
def herd(programs, count, netns=False):
    with room_for(count), contextlib.ExitStack() as stack:
        command = [programs.path("herd"), str(count), *(["netns"] if netns else [])]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.callback(end, process)
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{count} processes could not be started")
        yield


def end(process):
    process.stdin.close()
    try:
        process.wait(120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def room_for(count):
    """Lifts the highest process id for a while where it is in the way."""
    with open(PID_MAX) as file:
        before = int(file.read())
    if count + 5000 < before:
        yield
        return
    set_pid_max(max(before, 4 * count))
    try:
        yield
    finally:
        set_pid_max(before)


def set_pid_max(value):
    with open(PID_MAX, "w") as file:
        file.write(str(value))
