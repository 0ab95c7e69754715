"""The daemon under measurement: `tetherd run` on a configuration and a spool of its own."""
import contextlib
import json
import os
import subprocess
import threading
import time

from lib import child, programs

BINARY = os.environ.get("TETHERD", os.path.join(programs.HERE, "..", "target", "release", "tetherd"))


def help_of_run():
    return subprocess.run([BINARY, "run", "--help"], capture_output=True, text=True, check=True).stdout


class Daemon:
    def __init__(self, folder, options=(), lines=""):
        self.folder = folder
        self.spool = os.path.join(folder, "spool")
        self.config = os.path.join(folder, "tetherd.toml")
        os.makedirs(folder, exist_ok=True)
        rules = os.path.join(folder, "rules.d")
        os.makedirs(rules, exist_ok=True)
        with open(self.config, "w") as file:
            file.write(f'[syslog]\nenabled = false\n[rules]\ndirectory = "{rules}"\n'
                       f'[control]\nsocket = "{folder}/control.sock"\n{lines}')
        self.command = [BINARY, "run", "--quiet", "--config", self.config, "--spool", self.spool, *options]

    def start(self):
        """Returns when it has said that it listens."""
        self.process = child.start(self.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if line.rstrip().endswith("tetherd: ready"):
                break
        else:
            child.stop(self.process)
            raise RuntimeError("tetherd did not start: " + "".join(said))
        # Nobody may block it by not reading what it says.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    @contextlib.contextmanager
    def running(self):
        """Started, and done with its first sweep."""
        self.start()
        try:
            self.wait_for_sweep(0)
            yield self
        finally:
            child.stop(self.process)

    @property
    def pid(self):
        return self.process.pid

    def status(self):
        output = subprocess.run([BINARY, "status", "--json", "--config", self.config], capture_output=True, check=True)
        return json.loads(output.stdout)

    def wait_for_sweep(self, before, seconds=60):
        """Waits until more sweeps than `before` have ended."""
        end = time.monotonic() + seconds
        while self.status()["counts"]["sweeps"] <= before:
            if time.monotonic() > end:
                raise RuntimeError("tetherd did not end its sweep")
            time.sleep(0.05)

    def memory(self):
        """Kilobytes: Rss, Pss and so on, and VmHWM."""
        found = {}
        for name in ("smaps_rollup", "status"):
            with open(f"/proc/{self.pid}/{name}") as file:
                for line in file:
                    words = line.split()
                    if len(words) == 3 and words[2] == "kB":
                        found[words[0].rstrip(":")] = int(words[1])
        return found

    def records(self):
        """Every whole line of the spool, oldest first."""
        for name in sorted(os.listdir(self.spool)):
            if name.startswith("findings-"):
                with open(os.path.join(self.spool, name), "rb") as file:
                    yield from (json.loads(line) for line in file if line.endswith(b"\n"))
