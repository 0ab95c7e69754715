"""The processor time of processes, exact: nanoseconds that their threads ran, as the scheduler counts them."""
import collections
import os


def threads(pid):
    """Nanoseconds by thread: {(thread id, name): ns}."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file, open(f"/proc/{pid}/task/{thread}/comm") as name:
                found[thread, name.read().strip()] = int(file.read().split()[0])
        except FileNotFoundError:
            pass
    return found


def by_name(pids):
    """Nanoseconds by the threads' names."""
    total = collections.Counter()
    for pid in pids:
        for (_, name), ns in threads(pid).items():
            total[name] += ns
    return total


def of(pids):
    return by_name(pids).total()


def of_kernel_thread(name):
    """The process ids of a kernel thread's name."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if f"({name}) " in file.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found
