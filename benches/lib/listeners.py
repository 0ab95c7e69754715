"""What is compared: nobody, tetherd in each of its modes, and others that hear of every exec.

Each is a context that is entered when it listens; `pids` are the processes whose time is its own.
"""
import contextlib
import os
import shutil
import subprocess
import time

from lib import auditd, child, cpu, daemon

EXECSNOOP = "/usr/sbin/execsnoop.bt"
TRACEFS = "/sys/kernel/tracing"


class Listener:
    def waits(self):
        """How long execs waited for it, in microseconds; nothing where none does."""
        return None


class Nobody(Listener):
    def __init__(self, name):
        self.name = name
        self.pids = []

    @contextlib.contextmanager
    def listening(self, _folder):
        yield


class Tetherd(Listener):
    def __init__(self, name, options=()):
        self.name = name
        self.options = options

    @contextlib.contextmanager
    def listening(self, folder):
        with daemon.Daemon(os.path.join(folder, "tetherd"), self.options).running() as running:
            self.pids, self.running = [running.pid], running
            yield
        shutil.rmtree(running.folder)

    def waits(self):
        waits = self.running.status()["fanotify"]
        return waits["wait_us"] if waits["mode"] == "hold" else None


class Floor(Listener):
    """The least program that does a part of it, or one for each part; `deeds` are what floor.c calls those."""

    def __init__(self, name, program, *deeds):
        self.name = name
        self.commands = [[program, deed] for deed in deeds]

    @contextlib.contextmanager
    def listening(self, _folder):
        with contextlib.ExitStack() as stack:
            self.pids = []
            for command in self.commands:
                process = stack.enter_context(child.running(command, stdout=subprocess.PIPE, text=True))
                self.pids.append(process.pid)
                if process.stdout.readline() != "ready\n":
                    raise RuntimeError("floor did not begin to listen")
            yield


class Forkstat(Listener):
    name = "forkstat -e exec"

    @contextlib.contextmanager
    def listening(self, _folder):
        with child.running(["forkstat", "-e", "exec"], stdout=subprocess.DEVNULL) as process:
            self.pids = [process.pid]
            # It says nothing when it listens: it does when it has a netlink socket of the connector.
            wait_until(lambda: any(line.split()[1:3] == ["11", str(process.pid)] for line in open("/proc/net/netlink")))
            yield


class Execsnoop(Listener):
    name = "bpftrace execsnoop"

    @contextlib.contextmanager
    def listening(self, folder):
        output = os.path.join(folder, "execsnoop.out")
        with open(output, "w") as file, mounted_tracefs(), \
                child.running(["bpftrace", EXECSNOOP], stdout=file, stderr=subprocess.STDOUT) as process:
            self.pids = [process.pid]
            wait_until(lambda: heard(output, "/bin/true execsnoop"), lambda: mark("execsnoop"))
            yield


class Auditd(Listener):
    name = "auditd, one rule"

    @contextlib.contextmanager
    def listening(self, folder):
        place = os.path.join(folder, "audit")
        with auditd.running(place) as process:
            self.pids = [process.pid, *cpu.of_kernel_thread("kauditd")]
            wait_until(lambda: heard(os.path.join(place, "audit.log"), 'a1="auditd"'), lambda: mark("auditd"))
            yield
        shutil.rmtree(place)


def mark(argument):
    subprocess.run(["/bin/true", argument], check=True)


def heard(path, text):
    with contextlib.suppress(FileNotFoundError), open(path, errors="replace") as file:
        return text in file.read()
    return False


def wait_until(true, meanwhile=lambda: None, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("a listener did not begin to listen")
        meanwhile()
        time.sleep(0.1)


@contextlib.contextmanager
def mounted_tracefs():
    mounted = not os.path.exists(os.path.join(TRACEFS, "events"))
    if mounted:
        subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACEFS], check=True)
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", TRACEFS], check=False)


def tetherds(wanted):
    """A listener for each value of `--fanotify` that this tetherd knows, of those in `wanted`."""
    if "--fanotify" not in daemon.help_of_run():
        return [Tetherd("tetherd")]
    return [Tetherd(f"tetherd --fanotify {mode}", ("--fanotify", mode)) for mode in wanted]


def floors(programs):
    """What nobody who listens so can go below."""
    program = programs.path("floor")
    return [Floor("the least that hears", program, "hear"), Floor("the least that hears and looks", program, "look"),
            Floor("the least that answers before each exec", program, "answer"),
            Floor("the least that looks and answers before each exec", program, "hold")]


def peers():
    """Those that this machine has, and those that it lacks, by name."""
    found, lacking = [], []
    for listener, there in [
        (Forkstat(), shutil.which("forkstat")),
        (Execsnoop(), shutil.which("bpftrace") and os.path.exists(EXECSNOOP)),
        (Auditd(), shutil.which("auditd") and auditd.is_free()),
    ]:
        (found if there else lacking).append(listener)
    return found, [listener.name for listener in lacking]
