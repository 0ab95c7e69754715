"""Everything at once for a long time: storms of commands of each form, new incidents, containers. All of it at nice 10."""
import contextlib
import shutil
import subprocess
import threading
import time

from lib import child
from lib.cells import cells

NICE = ("nice", "-n", "10")
# A storm on one pipe or connection ends after so long, so that its incident ends and another begins.
TURN_S = 30
FORMS = ("tcp", "relay", "pipe")
TIED = "/usr/bin/id"
# New incidents a second, each on a connection of its own; and in each container.
SHOTS_A_SECOND = 5
CELLS, CELL_EVERY_S = 3, 2
# Nobody waits that long: the seconds end a storm.
ENDLESS = 1_000_000_000


class Load:
    def __init__(self, place, seconds):
        self.place, self.seconds = place, seconds
        self.end = time.monotonic() + seconds
        self.started = {"plain": 0, **dict.fromkeys(FORMS, 0), "shots": 0, "containers": 0}
        self.failed = []
        self.processes = set()
        # When each shot's command was started, by the port of its connection, until somebody takes it.
        self.shots = {}

    def left(self):
        return max(1, int(self.end - time.monotonic()))

    def over(self):
        return time.monotonic() >= self.end

    @contextlib.contextmanager
    def child(self, *command):
        command = [*NICE, *command]
        with child.running(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            self.processes.add(process)
            yield process
        self.processes.discard(process)

    def storm(self, kind, form, command, seconds):
        program = self.place.programs.path("storm")
        with self.child(program, "-n", str(ENDLESS), "-s", str(seconds), "-f", form, command) as process:
            words = process.communicate()[0].split()
            self.started[kind] += int(words[7]) if len(words) > 7 else 0
            if process.returncode != 0 and not self.over():
                self.failed.append(f"{kind}: {' '.join(words)}")

    def plain(self):
        self.storm("plain", "none", "/bin/true", self.left())

    def tied(self, form):
        while not self.over():
            self.storm(form, form, TIED, min(TURN_S, self.left()))

    def shoot(self):
        count = self.left() * SHOTS_A_SECOND
        with self.child(self.place.programs.path("shots"), str(count), str(SHOTS_A_SECOND), TIED) as process:
            for line in process.stdout:
                port, at = line.split()
                self.shots[int(port)] = int(at)
                self.started["shots"] += 1
                if self.over():
                    return
            if process.wait() != 0 and not self.over():
                self.failed.append("shots")

    def contained(self):
        with cells(self.place.programs, self.place.new("cells"), CELLS) as made:
            while not self.over():
                made.shoot(1, 1 / CELL_EVERY_S, CELLS, self.started["containers"])
                self.started["containers"] += 1

    @contextlib.contextmanager
    def running(self):
        """All of it, in threads that end with the time, or when this does."""
        work = [(self.plain,), (self.plain,), *((self.tied, form) for form in FORMS), (self.shoot,)]
        if shutil.which("runc"):
            work.append((self.contained,))
        threads = [threading.Thread(target=one[0], args=one[1:], daemon=True) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.end = min(self.end, time.monotonic())
            for process in list(self.processes):
                child.stop(process)
            for thread in threads:
                thread.join(TURN_S + 30)
