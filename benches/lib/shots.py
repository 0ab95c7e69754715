"""Commands on connections of their own: each is an incident of its own."""
import subprocess
import time

from lib import child

SETTLE_S = 1.5


class Shots:
    def __init__(self, programs, count, rate, command):
        self.count = count
        self.command = [programs.path("shots"), str(count), str(rate), command]

    def running(self):
        return child.running(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def run(self):
        """Runs them all, and gives the daemon the time to end their incidents."""
        with self.running() as process:
            process.communicate(timeout=300)
            if process.returncode != 0:
                raise RuntimeError("the shots failed")
        time.sleep(SETTLE_S)
