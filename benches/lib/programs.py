"""The C programs beside this folder, compiled into the place of this run."""
import os
import subprocess

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAMES = ("storm", "herd", "shots", "nothing", "cell", "floor")


class Programs:
    def __init__(self, folder):
        self.folder = folder
        for name in NAMES:
            subprocess.run(["gcc", "-O2", "-static", "-o", self.path(name), os.path.join(HERE, name + ".c")],
                           check=True)

    def path(self, name):
        return os.path.join(self.folder, name)
