"""One storm of execs: its wall clock time and its processor time, both in nanoseconds, for one exec."""
import subprocess

from lib import child


class Storm:
    """What `storm` runs. `form` is what descriptors 0, 1 and 2 are: "none", "pipe", "tcp" or "relay"."""

    def __init__(self, programs, count, width=1, form="none", numbered=False, command=("/bin/true",)):
        self.count = count
        self.command = [programs.path("storm"), "-n", str(count), "-w", str(width), "-f", form,
                        *(["-a"] if numbered else []), *command]

    def start(self):
        return child.start(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def end(self, process):
        """Waits for the end of what `start` started: (wall, cpu) an exec."""
        try:
            words = process.communicate(timeout=300)[0].split()
        finally:
            child.stop(process)
        if process.returncode != 0:
            raise RuntimeError(f"the storm failed: {' '.join(words)}")
        return int(words[1]) / self.count, int(words[3]) / self.count

    def run(self):
        return self.end(self.start())
