"""Mounts: small filesystems of their own, in this mount namespace."""
import contextlib
import os
import subprocess


@contextlib.contextmanager
def mounts(folder, count):
    """`count` tmpfs mounts below a folder."""
    os.makedirs(folder, exist_ok=True)
    made = []
    try:
        for number in range(count):
            point = os.path.join(folder, str(number))
            os.makedirs(point, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", point], check=True)
            made.append(point)
        yield
    finally:
        for start in range(0, len(made), 200):
            subprocess.run(["umount", *made[start:start + 200]], check=False)
