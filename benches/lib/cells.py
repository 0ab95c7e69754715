"""Real containers of runc, as containerd's CRI plugin would have them: cgroups of pods, bundles in a state directory.

All have one root in common, with a static program that sleeps in it (cell.c). No containerd is asked or disturbed: the
state directory is the bench's own.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import uuid

NAMESPACES = ("pid", "network", "ipc", "uts", "mount")


class Cells:
    def __init__(self, programs, folder):
        self.state = os.path.join(folder, "containerd")
        self.runs = os.path.join(folder, "runc")
        self.root = os.path.join(folder, "root")
        self.pids = []
        self.made = []
        for name in ("bin", "proc", "dev", "sys", "tmp"):
            os.makedirs(os.path.join(self.root, name), exist_ok=True)
        shutil.copy(programs.path("cell"), os.path.join(self.root, "bin", "cell"))
        shutil.copy(programs.path("nothing"), os.path.join(self.root, "bin", "id"))

    def runc(self, *arguments, check=True):
        return subprocess.run(["runc", "--root", self.runs, *arguments], check=check, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def add(self, number):
        name, pod = uuid.uuid4().hex * 2, str(uuid.uuid4())
        bundle = os.path.join(self.state, "io.containerd.runtime.v2.task", "k8s.io", name)
        os.makedirs(bundle)
        labels = {"container-type": "container", "container-name": f"cell-{number}", "image-name": "example.org/cell:1",
                  "sandbox-name": f"pod-{number}", "sandbox-namespace": "bench", "sandbox-uid": pod, "sandbox-id": name}
        config = {
            "ociVersion": "1.0.2", "root": {"path": self.root, "readonly": True}, "hostname": f"cell-{number}",
            "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/cell", "/bin/id"], "cwd": "/",
                        "env": ["PATH=/bin"]},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
            "annotations": {f"io.kubernetes.cri.{key}": value for key, value in labels.items()},
            "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES],
                      "cgroupsPath": f"/kubepods/besteffort/pod{pod}/{name}"},
        }
        with open(os.path.join(bundle, "config.json"), "w") as file:
            json.dump(config, file)
        self.made.append((name, pod))
        pid_file = os.path.join(bundle, "init.pid")
        self.runc("run", "--detach", "--bundle", bundle, "--pid-file", pid_file, name)
        with open(pid_file) as file:
            self.pids.append(int(file.read()))

    def shoot(self, count, rate, among, first=0):
        """A finding in each of the first `among` containers in turn, beginning with one of them."""
        for number in range(first, first + count):
            os.kill(self.pids[number % among], signal.SIGUSR1)
            time.sleep(1 / rate)

    def remove(self):
        for name, _ in self.made:
            self.runc("delete", "--force", name, check=False)
        pods = [f"kubepods/besteffort/pod{pod}" for _, pod in self.made]
        # Of version 1 each controller has a directory. Those of others' pods are not empty, and stay.
        for top in ["/sys/fs/cgroup", *(entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir())]:
            for group in [*pods, "kubepods/besteffort", "kubepods"]:
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.join(top, group))


@contextlib.contextmanager
def cells(programs, folder, count):
    made = Cells(programs, folder)
    try:
        for number in range(count):
            made.add(number)
        yield made
    finally:
        made.remove()
